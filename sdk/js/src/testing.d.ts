import type { Directive } from "./index.js";

/** Run handlers in a unit test: without a host, a database or a component. */

export interface TestJob {
  id?: number;
  payload?: Uint8Array | string;
  /** The payload as JSON, in place of `payload`. */
  json?: unknown;
  headers?: Record<string, string>;
  attempt?: number;
  maxAttempts?: number;
  priority?: number;
  created?: Date;
  timeLeft?: number;
  directive?: Directive;
}

export interface Answers {
  /** Answers statements: rows, or how many were touched. Savepoints come as `SAVEPOINT`, `RELEASE` and `ROLLBACK`. */
  sql?: (statement: string, ...parameters: any[]) => number | unknown[];
  /** Answers `fetch`. */
  fetch?: (request: Request) => Response | Promise<Response>;
}

export interface Enqueued {
  entrypoint: string;
  payload?: Uint8Array;
  priority: number;
  delayMs: number;
  dedupeKey?: string;
  headers: Record<string, string>;
}

export interface Run {
  how: "complete" | "snooze" | "discard" | "retry" | "reject";
  output?: Uint8Array;
  text(): string;
  json(): any;
  afterMs?: number;
  kind?: string;
  message?: string;
  traceback?: string;
  logs: { level: string; message: string; fields: Record<string, string> }[];
  /** What the host would enqueue: nothing, unless the job completed. */
  enqueued: Enqueued[];
}

/** Run a job of this entrypoint as the host would. One that takes batches gets a batch of one. */
export declare function run(entrypoint: string, job?: TestJob, answers?: Answers): Promise<Run>;

/** Run these jobs of one entrypoint in one call, as the host would. What the handler logs is at the first of them. */
export declare function runBatch(entrypoint: string, jobs: TestJob[], answers?: Pick<Answers, "fetch">): Promise<Run[]>;

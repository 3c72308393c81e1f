/**
 * Write job handlers for pgq-host in JavaScript and TypeScript.
 *
 * A handler is a function. What it returns (or its promise does) is the job's output, and what it throws is a retry:
 *
 * ```ts
 * import { enqueue, entrypoint, log, plugin, Reject } from "pgq-plugin";
 *
 * plugin("orders", "0.1.0", { enqueue: ["ship"] });
 *
 * interface Order { id: number; items: string[] }
 *
 * entrypoint("pack", { maxAttempts: 5, timeout: 10 }, (job) => {
 *   const order = job.json<Order>();
 *   if (!order.items.length) throw new Reject("an order without items cannot be packed");
 *   log.info(`packing ${order.items.length} items`, { order: order.id });
 *   enqueue("ship", order.id, { priority: 5 });
 *   return { packed: order.items.length };
 * });
 * ```
 *
 * Times are seconds. `console` writes into the job's log, and `fetch` sends requests to origins that the operator granted.
 * Tests run the same functions under Node: see `pgq-plugin/testing`.
 */

/** What the handler's value becomes: bytes as they are, text in UTF-8, anything else as JSON; nothing for undefined. */
export type Output = unknown;

/** What the host asks of a running handler. */
export type Directive = "proceed" | "cancelled" | "shutting-down" | "lease-lost";

/** The job that a handler runs, for the duration of that call. Payload and headers are copied each time they are read. */
export declare class Job {
  private constructor();
  /** The id of the row in the queue, the same for every attempt. */
  readonly id: number;
  /** The name under which the job was enqueued. */
  readonly entrypoint: string;
  /** The number of this run, 1 for the first. Snoozed and released runs do not count. */
  readonly attempt: number;
  /** The most runs that there will be. */
  readonly maxAttempts: number;
  /** Whether a retry of this run would fail the job for good. */
  readonly isLastAttempt: boolean;
  /** Jobs with a higher priority run first. */
  readonly priority: number;
  /** When the job was enqueued. */
  readonly created: Date;
  /** The bytes that the producer stored, undefined for SQL NULL. */
  readonly payload: Uint8Array | undefined;
  /** The payload as UTF-8. Rejects the job where it is not. */
  text(): string;
  /**
   * The payload as JSON. Rejects the job where it is not: another attempt would read the same bytes. `check` gets the
   * value and returns it with its type; what it throws rejects the job as well.
   */
  json<T = any>(check?: (value: unknown) => T): T;
  /** One header. A string is its text, any other JSON value is JSON. */
  header(name: string): string | undefined;
  /** All headers. */
  readonly headers: Record<string, string>;
  /** A key by which a receiver can recognize this job, however often it runs. */
  readonly idempotencyKey: string;
  /** Seconds of wall time until the host interrupts this call. */
  readonly timeLeft: number;
  /** Ask whether to continue. Cheap: a long handler asks now and then, and returns early when told to. */
  heartbeat(): Directive;
  /** Whether `heartbeat` says anything but `proceed`. */
  readonly shouldStop: boolean;
}

/** Try again as long as attempts are left: after so many seconds, or after the entrypoint's back-off. */
export declare class Retry extends Error {
  constructor(message: string, options?: { after?: number; cause?: unknown });
}

/** Never try again: the job fails now, for this reason. */
export declare class Reject extends Error {}

/** Not now: run the job again after so many seconds. Does not count as an attempt. */
export declare class Snooze extends Error {
  constructor(after: number);
}

/** The job is no longer needed, for this reason. */
export declare class Discard extends Error {}

export interface Schedule {
  expression: string;
  /** By its IANA name. UTC by default. */
  timeZone?: string;
}

/** What is not set has the host's default; only `reuse` has the SDK's. */
export interface Options {
  /** The most times a job runs before it fails for good. */
  maxAttempts?: number;
  /** The first wait, the factor of each later one, and the longest. */
  backoff?: [initial: number, multiplier: number, max: number];
  /** The wall time of one run. */
  timeout?: number;
  /** The most memory of one run in bytes. */
  memory?: number;
  /** The most jobs of this entrypoint that run at once, over all workers of the queue. */
  concurrency?: number;
  /** How many jobs an instance runs, with all that is in its modules (1,000). 1 is a new one for each. */
  reuse?: number;
  /** What becomes of a job that failed for good. */
  onFailure?: "hold" | "delete";
  /** Enqueue a job at each tick of a cron expression. */
  schedule?: string | Schedule | (string | Schedule)[];
}

export interface Needs {
  /** Origins: `https://api.example.com`. */
  http?: string | string[];
  config?: string | string[];
  secret?: string | string[];
  env?: string | string[];
  directory?: string | string[];
  /** Entrypoints of follow-up jobs. */
  enqueue?: string | string[];
  /** What the database is for. */
  sql?: string | string[];
}

/** Name the plugin and what it needs. The operator grants that or does not (`pgq-host.toml`). */
export declare function plugin(name: string, version: string, needs?: Needs): void;

/** Serve jobs of this name. */
export declare function entrypoint(name: string, options: Options, handler: (job: Job) => Output | Promise<Output>): void;
export declare function entrypoint(name: string, handler: (job: Job) => Output | Promise<Output>): void;

/**
 * Serve up to so many jobs of this name in one call. The handler returns one item for each: an output, or a `Retry`,
 * `Reject`, `Snooze` or `Discard`.
 */
export declare function batch(name: string, maxJobs: number, options: Options, handler: (jobs: Job[]) => Output[] | Promise<Output[]>): void;
export declare function batch(name: string, maxJobs: number, handler: (jobs: Job[]) => Output[] | Promise<Output[]>): void;

/** The host took no request. */
export declare class EnqueueError extends Error {}

/**
 * Enqueue a job when the current one completes, in the transaction that records it: both are there, or neither. With a
 * `dedupeKey`, the request is dropped without an error if a job of that key is queued or running.
 */
export declare function enqueue(
  entrypoint: string,
  payload?: unknown,
  options?: { priority?: number; delay?: number; dedupeKey?: string; headers?: Record<string, string> },
): void;

type Fields = Record<string, unknown>;
/** The job's log: lines with fields. */
export declare const log: Record<"trace" | "debug" | "info" | "warn" | "error", (message: string, fields?: Fields) => void>;

export * as sql from "./sql.js";

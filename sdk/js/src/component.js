// The component's exports. Only what `pgq-host plugin new` writes as component.js imports this.
import { Request } from "pgq:plugin/enqueue@0.1.0";
import { Request as HttpRequest, send } from "pgq:plugin/http@0.1.0";
import { emit } from "pgq:plugin/log@0.1.0";
import { execute, query, setSavepoint } from "pgq:plugin/sql@0.1.0";
import { EnqueueError } from "./enqueue.js";
import { fetchOver } from "./fetch.js";
import { use } from "./host.js";
import { jobConsole } from "./log.js";
import { declarations } from "./plugin.js";
import { run, runBatch } from "./run.js";
import { SqlError } from "./sql.js";
import { fromValue } from "./values.js";

// The host keeps no more of a failure: the beginning of its message, the end of its traceback.
const [MESSAGE, TRACEBACK] = [8000, 16000];
/** A call passes 256 KiB at most. */
const PIECE = 64 * 1024;

export const describe = {
  register(registrar) {
    for (const text of declarations()) registrar.declare(text);
  },
};

export const handler = {
  handle(raw) {
    const ended = run(raw);
    return typeof ended.then === "function" ? ended.then((ended) => settle(raw, ended)) : settle(raw, ended);
  },
};

export const batchHandler = {
  handleBatch(raws) {
    const each = (all) => all.map((ended, n) => result(raws[n], ended));
    const ended = runBatch(raws);
    return typeof ended.then === "function" ? ended.then(each) : each(ended);
  },
};

function settle(raw, ended) {
  const told = result(raw, ended);
  if (told.tag === "err") throw told.val;
  return told.val;
}

function result(raw, { how, output, afterMs, kind, message, traceback }) {
  const head = message?.slice(0, MESSAGE);
  const after = afterMs === undefined ? undefined : BigInt(afterMs);
  switch (how) {
    case "complete":
      return { tag: "ok", val: { tag: "complete", val: output } };
    case "snooze":
      return { tag: "ok", val: { tag: "snooze", val: after } };
    case "discard":
      return { tag: "ok", val: { tag: "discard", val: head } };
    case "reject":
      return { tag: "err", val: { tag: "reject", val: head } };
    default:
      raw.failed(kind.slice(0, 256), head, traceback.slice(-TRACEBACK));
      return { tag: "err", val: { tag: "retry", val: { message: head, after } } };
  }
}

/** What a function of the host throws has the error that it returned. */
const told = (error) => (error && typeof error === "object" && "payload" in error ? error.payload : error);

function sql(call) {
  try {
    return call();
  } catch (thrown) {
    const error = told(thrown);
    if (typeof error?.sqlstate !== "function") throw thrown;
    const parts = { kind: error.kind() };
    for (const name of ["sqlstate", "detail", "hint", "constraint", "table", "column"]) parts[name] = error[name]() ?? undefined;
    throw new SqlError(error.message(), parts);
  }
}

use({
  emit,
  submit({ entrypoint, payload, priority, delayMs, dedupeKey, headers }) {
    const request = new Request(entrypoint);
    if (payload) request.payload(payload);
    if (priority) request.priority(priority);
    if (delayMs) request.delay(BigInt(delayMs));
    if (dedupeKey !== undefined) request.dedupeKey(dedupeKey);
    for (const [name, value] of Object.entries(headers)) request.header(name, value);
    try {
      request.submit();
    } catch (error) {
      throw new EnqueueError(`the job for ${JSON.stringify(entrypoint)} was not enqueued: ${told(error)}`);
    }
  },
  sqlExecute: (statement, parameters) => sql(() => execute(statement, parameters)),
  sqlQuery(statement, parameters) {
    const cursor = sql(() => query(statement, parameters));
    return {
      columns: () => cursor.columns().map(({ name }) => name),
      next: (most) => sql(() => cursor.next(most)).map((row) => row.map(fromValue)),
    };
  },
  sqlSavepoint() {
    const point = sql(setSavepoint);
    return { release: () => sql(() => point.release()), rollBack: () => sql(() => point.rollBack()) };
  },
});
/** An answer with all of its body. */
function sendWhole({ method, url, headers, body, timeoutMs }) {
  try {
    const request = new HttpRequest(method, url);
    for (const [name, value] of headers) request.header(name, value);
    for (let at = 0; at < body.length; at += PIECE) request.body(body.subarray(at, at + PIECE));
    if (timeoutMs !== undefined) request.timeout(BigInt(timeoutMs));
    const response = send(request);
    const pieces = [];
    for (let piece = response.read(PIECE); piece.length; piece = response.read(PIECE)) pieces.push(piece);
    return { status: response.status(), headers: response.headers(), pieces };
  } catch (thrown) {
    const error = told(thrown);
    if (typeof error?.kind !== "function") throw thrown;
    throw Object.assign(new TypeError(error.message()), { kind: error.kind() });
  }
}

globalThis.fetch = fetchOver(sendWhole);
globalThis.console = jobConsole(globalThis.console);

// Write job handlers for pgq-host in JavaScript and TypeScript. index.d.ts says what there is.
export { enqueue, EnqueueError } from "./enqueue.js";
export { Job } from "./job.js";
export { log } from "./log.js";
export { Discard, Reject, Retry, Snooze } from "./outcome.js";
export { batch, entrypoint, plugin } from "./plugin.js";
export * as sql from "./sql.js";

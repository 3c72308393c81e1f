// Follow-up jobs.
import { encode } from "./bytes.js";
import { current } from "./host.js";
import { millis } from "./time.js";

export class EnqueueError extends Error {
  name = "EnqueueError";
}

export function enqueue(entrypoint, payload, { priority = 0, delay = 0, dedupeKey, headers = {} } = {}) {
  current().submit({
    entrypoint,
    payload: encode(payload, `the payload for ${JSON.stringify(entrypoint)}`),
    priority,
    delayMs: millis(delay),
    dedupeKey,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
  });
}

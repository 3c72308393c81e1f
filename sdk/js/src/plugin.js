// What a plugin declares: its name, its entrypoints, and what it needs.
import { millis } from "./time.js";

/** How many jobs an instance runs, unless an entrypoint says otherwise: starting one takes longer than a short job. */
const REUSE = 1000;

const declared = {};
const entrypoints = new Map();
const NEEDS = ["http", "config", "secret", "env", "directory", "enqueue", "sql"];

export function plugin(name, version, needs = {}) {
  const list = (some) => (typeof some === "string" ? [some] : [...some]);
  for (const kind of Object.keys(needs)) {
    if (!NEEDS.includes(kind)) throw new TypeError(`a plugin cannot need ${JSON.stringify(kind)}; there are ${NEEDS.join(", ")}`);
  }
  Object.assign(declared, { name, version, needs: Object.fromEntries(Object.entries(needs).map(([kind, some]) => [kind, list(some)])) });
}

/** Times are seconds. */
const OPTIONS = {
  maxAttempts: (value) => ({ "max-attempts": value }),
  backoff: ([initial, multiplier, max]) => ({ backoff: { "initial-ms": millis(initial), multiplier, "max-ms": millis(max) } }),
  timeout: (value) => ({ "timeout-ms": millis(value) }),
  memory: (value) => ({ memory: value }),
  concurrency: (value) => ({ concurrency: value }),
  reuse: (value) => ({ reuse: value }),
  onFailure: (value) => ({ "on-failure": value }),
  schedule: (value) => ({
    schedules: [value].flat().map((one) => (typeof one === "string" ? { expression: one } : { expression: one.expression, "time-zone": one.timeZone })),
  }),
};

export function entrypoint(name, ...rest) {
  const [options, run] = rest.length > 1 ? rest : [{}, rest[0]];
  add(name, run, options);
}

export function batch(name, maxJobs, ...rest) {
  const [options, run] = rest.length > 1 ? rest : [{}, rest[0]];
  add(name, run, options, { batch: maxJobs });
}

function add(name, run, options, more = {}) {
  if (typeof run !== "function") throw new TypeError(`the handler of ${JSON.stringify(name)} is no function`);
  if (entrypoints.has(name)) throw new Error(`the entrypoint ${JSON.stringify(name)} has two handlers`);
  const said = { reuse: REUSE };
  for (const [option, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, option)) {
      throw new TypeError(`${JSON.stringify(option)} is no option of an entrypoint; there are ${Object.keys(OPTIONS).join(", ")}`);
    }
    if (value !== undefined) Object.assign(said, OPTIONS[option](value));
  }
  entrypoints.set(name, { run, options: { ...said, ...more } });
}

/** The texts that the host reads: one for the plugin and one for each entrypoint, because a text has a largest size. */
export function declarations() {
  const each = [...entrypoints].map(([name, { options }]) => ({ entrypoints: [{ name, ...options }] }));
  return [declared, ...each].map((one) => JSON.stringify(one));
}

export const find = (name) => entrypoints.get(name);

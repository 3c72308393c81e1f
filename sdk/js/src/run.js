// Runs handlers and turns what becomes of them into what the queue does next. Knows no host.
import { encode } from "./bytes.js";
import { Job } from "./job.js";
import { authored } from "./lines.js";
import { Discard, Reject, Retry, Snooze } from "./outcome.js";
import { find } from "./plugin.js";

/** `{ how, output?, afterMs?, kind?, message?, traceback? }`, or a promise of it if the handler is asynchronous. */
export function run(source) {
  try {
    const job = new Job(source);
    const value = handler(job.entrypoint)(job);
    return isPromise(value) ? value.then(ended, failed) : ended(value);
  } catch (error) {
    return failed(error);
  }
}

/** One for each job. What the handler throws fails each of them. */
export function runBatch(sources) {
  const all = (error) => sources.map(() => failed(error));
  const each = (values) => {
    if (!Array.isArray(values) || values.length !== sources.length) {
      return all(new Error(`the handler returned ${Array.isArray(values) ? values.length : "no list of"} results for ${sources.length} jobs`));
    }
    return values.map(ended);
  };
  try {
    const jobs = sources.map((source) => new Job(source));
    const values = handler(jobs[0].entrypoint)(jobs);
    return isPromise(values) ? values.then((values) => Promise.all(values)).then(each, all) : each(values);
  } catch (error) {
    return all(error);
  }
}

const isPromise = (value) => typeof value?.then === "function";

function handler(name) {
  const found = find(name);
  if (!found) throw new Reject(`the plugin does not serve the entrypoint ${JSON.stringify(name)}`);
  return found.run;
}

function ended(value) {
  try {
    return value instanceof Error ? failed(value) : { how: "complete", output: encode(value, "the output") };
  } catch (error) {
    return failed(error);
  }
}

function failed(error) {
  if (error instanceof Snooze) return { how: "snooze", afterMs: error.afterMs };
  if (error instanceof Discard) return { how: "discard", message: error.message };
  if (error instanceof Reject) return { how: "reject", message: error.message };
  // The engine's own word, without a stack: there is no memory for one.
  if (error === "out of memory") return { how: "retry", kind: "InternalError", message: "out of memory", traceback: "" };
  if (!(error instanceof Error)) return { how: "retry", kind: "Error", message: `the handler threw ${text(error)}`, traceback: "" };
  // A decision to retry was made on purpose: where, matters only if it came of something else.
  const traceback = error instanceof Retry && !error.cause ? "" : stack(error);
  return { how: "retry", afterMs: error.afterMs, kind: error.name, message: error.message, traceback };
}

const text = (value) => {
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  } catch {
    return String(value);
  }
};

/** The stack with those of its causes, without the lines of this module and what called it. */
function stack(error, depth = 0) {
  // V8 begins with the message, SpiderMonkey does not.
  const lines = String(error.stack ?? "").split("\n");
  const frames = lines.filter((line) => /^\s*at |@/.test(line)).map(authored);
  const ours = frames.findIndex((frame) => /(pgq-plugin|sdk[/\\]js)[/\\]src[/\\]run\.js/.test(frame));
  const own = ours < 0 ? frames : frames.slice(0, ours);
  const told = [`${error.name}: ${error.message}`, ...shortened(own)].join("\n");
  return error.cause instanceof Error && depth < 10 ? `${told}\ncaused by ${stack(error.cause, depth + 1)}` : told;
}

/** Without most of what a recursion repeats. */
function shortened(frames) {
  const many = frames.length - 40;
  return many > 0 ? [...frames.slice(0, 20), `(${many} more)`, ...frames.slice(-20)] : frames;
}

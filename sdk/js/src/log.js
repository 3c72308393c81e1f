// The job's log: lines with fields, and `console`.
import { current } from "./host.js";

const emit = (level) => (message, fields = {}) =>
  current().emit(
    level,
    show(message),
    Object.entries(fields).map(([name, value]) => [name, show(value)]),
  );

export const log = { trace: emit("trace"), debug: emit("debug"), info: emit("info"), warn: emit("warn"), error: emit("error") };

/** A value as `console` prints it: text as it is, errors with their stack, anything else as JSON. */
function show(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return value.stack ? `${value.name}: ${value.message}\n${value.stack}` : String(value);
  if (typeof value === "object" && value !== null) {
    try {
      return JSON.stringify(value);
    } catch {
      // Circular, or with a BigInt in it.
    }
  }
  return String(value);
}

/** `console`, into the job's log. */
export function jobConsole(before) {
  const write =
    (level) =>
    (...values) =>
      current().emit(level, values.map(show).join(" "), []);
  return Object.assign(Object.create(before), {
    trace: write("trace"),
    debug: write("debug"),
    log: write("info"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  });
}

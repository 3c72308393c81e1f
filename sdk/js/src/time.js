/** Seconds as the host takes them: whole milliseconds, rounded up. */
export function millis(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) {
    throw new RangeError(`${String(seconds)} is no time: give seconds, 0 or more`);
  }
  return Math.ceil(Number((seconds * 1000).toFixed(6)));
}

// Where calls of the SDK go: to the host in a component, to a recording in a test.
let answering;

/** Whoever answers now. */
export function current() {
  if (!answering) throw new Error("no job is running: the host runs handlers, and `run` of pgq-plugin/testing does in a test");
  return answering;
}

/** Have this one answer from now on. Returns the one before. */
export function use(host) {
  const before = answering;
  answering = host;
  return before;
}

// Runs handlers in a unit test: without a host, a database or a component.
import { encode } from "./bytes.js";
import { use } from "./host.js";
import { jobConsole } from "./log.js";
import { find } from "./plugin.js";
import { runBatch as runHandlers, run as runHandler } from "./run.js";
import { fromValue } from "./values.js";

/** A job as the host would hand it over. */
function sourceOf(entrypoint, job) {
  const { id = 1, attempt = 1, priority = 0, headers = {}, timeLeft = 60, directive = "proceed", created = new Date(1_767_225_600_000) } = job;
  const maxAttempts = job.maxAttempts ?? find(entrypoint)?.options["max-attempts"] ?? 25;
  const payload = "json" in job ? new TextEncoder().encode(JSON.stringify(job.json)) : encode(job.payload, "the payload");
  return {
    details: () => ({ id: BigInt(id), entrypoint, attempt, maxAttempts, priority, created: BigInt(created.getTime()) }),
    payload: () => payload,
    header: (name) => headers[name],
    headers: () => Object.entries(headers),
    timeLeft: () => BigInt(Math.floor(timeLeft * 1000)),
    heartbeat: () => directive,
  };
}

export async function run(entrypoint, job = {}, answers = {}) {
  const source = sourceOf(entrypoint, job);
  const batch = find(entrypoint)?.options.batch !== undefined;
  const [ended] = await recorded(answers, async () => (batch ? runHandlers([source]) : [await runHandler(source)]));
  return ended;
}

export async function runBatch(entrypoint, jobs, { fetch } = {}) {
  return recorded({ fetch }, () => runHandlers(jobs.map((job, n) => sourceOf(entrypoint, { id: n + 1, ...job }))));
}

/** What became of each, with what was logged and enqueued on the way. */
async function recorded({ sql, fetch }, call) {
  const logs = [];
  const enqueued = [];
  const answer = (statement, parameters) => {
    if (!sql) throw new Error(`the handler uses the database, and the test has no \`sql\` that answers: ${statement}`);
    return sql(statement, ...parameters.map(fromValue));
  };
  const before = use({
    emit: (level, message, fields) => logs.push({ level, message, fields: Object.fromEntries(fields) }),
    submit: (request) => enqueued.push(request),
    sqlExecute(statement, parameters) {
      const rows = answer(statement, parameters);
      return typeof rows === "number" ? rows : rows.length;
    },
    sqlQuery(statement, parameters) {
      const rows = answer(statement, parameters).map((row) => (Array.isArray(row) ? [null, row] : [Object.keys(row), Object.values(row)]));
      let at = 0;
      return { columns: () => rows[0]?.[0] ?? [], next: (most) => rows.slice(at, (at += most)).map(([, row]) => row) };
    },
    sqlSavepoint() {
      answer("SAVEPOINT", []);
      return { release: () => answer("RELEASE", []), rollBack: () => answer("ROLLBACK", []) };
    },
  });
  const natives = { console: globalThis.console, fetch: globalThis.fetch };
  globalThis.console = jobConsole(natives.console);
  globalThis.fetch = async (resource, init) => {
    const request = new Request(resource, init);
    if (!fetch) throw new Error(`the handler sends a request, and the test has no \`fetch\` that answers: ${request.method} ${request.url}`);
    return fetch(request);
  };
  try {
    return (await call()).map((ended, n) => {
      const text = () => new TextDecoder().decode(ended.output ?? new Uint8Array());
      return { ...ended, text, json: () => JSON.parse(text()), logs: n ? [] : logs, enqueued: ended.how === "complete" ? enqueued : [] };
    });
  } finally {
    use(before);
    Object.assign(globalThis, natives);
  }
}

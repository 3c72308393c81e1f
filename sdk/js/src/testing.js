// Runs handlers in a unit test: without a host, a database or a component.
import { encode } from "./bytes.js";
import { use } from "./host.js";
import { jobConsole } from "./log.js";
import { find } from "./plugin.js";
import { run as runHandler } from "./run.js";
import { fromValue } from "./values.js";

export async function run(entrypoint, job = {}, { sql, fetch } = {}) {
  const { id = 1, attempt = 1, priority = 0, headers = {}, timeLeft = 60, directive = "proceed", created = new Date(1_767_225_600_000) } = job;
  const maxAttempts = job.maxAttempts ?? find(entrypoint)?.options["max-attempts"] ?? 25;
  const payload = "json" in job ? new TextEncoder().encode(JSON.stringify(job.json)) : encode(job.payload, "the payload");
  const logs = [];
  const enqueued = [];
  const answer = (statement, parameters) => {
    if (!sql) throw new Error(`the handler uses the database, and the test has no \`sql\` that answers: ${statement}`);
    return sql(statement, ...parameters.map(fromValue));
  };
  const source = {
    details: () => ({ id: BigInt(id), entrypoint, attempt, maxAttempts, priority, created: BigInt(created.getTime()) }),
    payload: () => payload,
    header: (name) => headers[name],
    headers: () => Object.entries(headers),
    timeLeft: () => BigInt(Math.floor(timeLeft * 1000)),
    heartbeat: () => directive,
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
    const ended = await runHandler(source);
    const text = () => new TextDecoder().decode(ended.output ?? new Uint8Array());
    return { ...ended, text, json: () => JSON.parse(text()), logs, enqueued: ended.how === "complete" ? enqueued : [] };
  } finally {
    use(before);
    Object.assign(globalThis, natives);
  }
}

// What goes wrong in handlers, and what the host and the SDK make of it. Built into the examples' component.
import { batch, entrypoint, Reject, sql } from "pgq-plugin";

let seen = 0;

entrypoint("js-noop", { maxAttempts: 1 }, () => undefined);
entrypoint("js-fresh", { maxAttempts: 1, reuse: 1 }, () => undefined);
entrypoint("js-kept", () => String(++seen));

function lookup(order) {
  return order.customer.name;
}

entrypoint("js-throws", { maxAttempts: 1 }, () => lookup({}));
entrypoint("js-rejects", { maxAttempts: 1 }, async () => {
  await null;
  return lookup({});
});
entrypoint("js-loops", { maxAttempts: 1, timeout: 0.5 }, () => {
  for (;;);
});
entrypoint("js-sleeps", { maxAttempts: 1, timeout: 0.5 }, () => new Promise((wake) => setTimeout(wake, 600_000)));
entrypoint("js-hogs", { maxAttempts: 1, memory: 64 << 20 }, () => {
  for (const held = []; ; ) held.push(new Uint8Array(1 << 20).fill(1));
});
const deeper = (n) => deeper(n + 1) + 1;
entrypoint("js-deep", { maxAttempts: 1 }, () => deeper(0));
batch("js-batch", 100, (jobs) => jobs.map((job) => (job.text() === "odd" ? new Reject("odd") : `${job.text()} of ${jobs.length}`)));
entrypoint("js-sql", { maxAttempts: 1 }, () => {
  let state;
  try {
    sql.savepoint(() => sql.execute("INSERT INTO account VALUES (1, 0)"));
  } catch (error) {
    state = error.sqlstate;
  }
  sql.execute("UPDATE account SET balance = balance - $2 WHERE id = $1", 1, 10);
  const moment = new Date(1767322245006);
  const statement = "SELECT $1::int4, $2::numeric, $3::timestamptz, $4::text[], $5::jsonb, $6::interval, $7::bytea, NULL::int8, $8::timestamp";
  const row = sql.query(statement, 1, "1.50", moment, ["a", null], { k: [1] }, "1 day 2 seconds", new Uint8Array([0]), "2026-01-02 03:04:05").one();
  const wanted = [1, "1.50", moment, ["a", null], { k: [1] }, { months: 0, days: 1, microseconds: 2_000_000 }, new Uint8Array([0]), null, "2026-01-02T03:04:05.000000"];
  if (JSON.stringify(row) !== JSON.stringify(wanted)) throw new Error(`${JSON.stringify(row)} is not ${JSON.stringify(wanted)}`);
  let sum = 0;
  for (const [value] of sql.query("SELECT g FROM generate_series(1, 1200) g")) sum += value;
  return { state, sum };
});
let failed = 0;
entrypoint("js-again", { maxAttempts: 1 }, () => {
  throw new RangeError(`failure ${++failed}`);
});

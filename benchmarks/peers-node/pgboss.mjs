// pg-boss's side of drain.py: one queue whose handler does nothing.
//
// `install` makes its tables, `enqueue N` sends N jobs by its own bulk insert, `drain` ends when the queue is empty, `serve` at SIGTERM. What was measured is one
// line of JSON on stdout at the end.
import { PgBoss } from "pg-boss";

const [mode, count] = process.argv.slice(2);
const QUEUE = "hello";
// Listening is off by default; with it, a job need not wait for the next poll.
const boss = new PgBoss({ connectionString: process.env.PGDSN, useListenNotify: true });
boss.on("error", (error) => console.error(error));
await boss.start();
if (mode === "install") {
  await boss.createQueue(QUEUE, { notify: true });
  await boss.stop();
  process.exit(0);
}
if (mode === "enqueue") {
  await boss.insert(QUEUE, Array.from({ length: Number(count) }, () => ({ data: { name: "x" } })));
  await boss.stop();
  process.exit(0);
}

const now = () => performance.timeOrigin + performance.now();
let first = 0;
let calls = 0;
const waits = [];
// It has no figure of its own for throughput. Batches as large as graphile-worker's local queue, fetched while they come full, were its best here.
const options = { batchSize: 500, localConcurrency: 2, burstWhenBatchFull: true };
const left = async () => {
  const { rows } = await boss.getDb().executeSql("SELECT count(*)::int AS jobs FROM pgboss.job WHERE state <> 'completed'");
  return rows[0].jobs;
};
const jobs = await left();
await boss.work(QUEUE, options, async (batch) => {
  first ||= now();
  calls += batch.length;
  // Enqueued one by one, jobs bear the time at which the transaction of their INSERT began.
  for (const { data } of batch) if (data.at) waits.push(now() - data.at);
});
if (mode === "drain") {
  while (calls < jobs || (await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 2));
} else {
  await new Promise((resolve) => process.once("SIGTERM", resolve));
}
const seconds = (now() - first) / 1000;
await boss.stop();
console.log(JSON.stringify({ seconds, waits }));
process.exit(0);

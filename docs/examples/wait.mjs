import pg from "pg";

const STATE = `
SELECT log.status, log.traceback ->> 'exception_message' AS error, output.output
FROM pgqueuer_log AS log LEFT JOIN pgqueuer_output AS output USING (job_id)
WHERE log.job_id = $1 ORDER BY log.id DESC LIMIT 1`;
const OVER = ["successful", "canceled", "deleted", "exception", "failed"];

// The job's last state and its output. A notification says "look again", no more; looking every second makes sure.
async function ended(client, job) {
  let look;
  client.on("notification", () => look?.());
  await client.query("LISTEN ch_pgqueuer"); // before the first look, or the end could fall between the two
  for (;;) {
    const changed = new Promise((resolve) => (look = resolve));
    const { rows } = await client.query(STATE, [job]);
    if (OVER.includes(rows[0]?.status)) return rows[0];
    const timer = setTimeout(look, 1000);
    await changed;
    clearTimeout(timer);
  }
}

const client = new pg.Client({ connectionString: process.env.PGDSN });
await client.connect();
const { status, error, output } = await ended(client, process.argv[2]);
console.log(`${status}: ${output ?? error}`);
await client.end();

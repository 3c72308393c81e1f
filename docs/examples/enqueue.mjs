import pg from "pg";

const ENQUEUE = `
WITH job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, $1, $2, 'queued')
    RETURNING id, priority, entrypoint
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
SELECT id, 'queued', priority, entrypoint FROM job
RETURNING job_id`;

async function enqueue(client, entrypoint, payload) {
  const { rows } = await client.query(ENQUEUE, [entrypoint, Buffer.from(JSON.stringify(payload))]);
  return rows[0].job_id; // a string: bigint does not fit into every number
}

// The user and the job that greets: both are committed, or neither is.
async function signUp(client, name) {
  await client.query("BEGIN");
  try {
    await client.query("INSERT INTO users (name) VALUES ($1)", [name]);
    const job = await enqueue(client, "hello", { name });
    await client.query("COMMIT");
    return job;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

const client = new pg.Client({ connectionString: process.env.PGDSN });
await client.connect();
console.log(await signUp(client, "Brendan"));
await client.end();

// graphile-worker's side of drain.py: one task that does nothing, with the configuration of https://worker.graphile.org/docs/performance.
//
// `drain` runs until the queue is empty; else until SIGTERM. What it measured is one line of JSON on stdout at the end.
import { Logger, run, runMigrations, runOnce } from "graphile-worker";

const mode = process.argv[2];
// Only what is wrong: a line per job would cost more than the job.
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(message);
});
const options = {
  preset: {
    worker: {
      connectionString: process.env.PGDSN,
      concurrentJobs: 24,
      maxPoolSize: 25,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  logger,
};

if (mode === "install") {
  await runMigrations(options);
  process.exit(0);
}

const now = () => performance.timeOrigin + performance.now();
let first = 0;
const waits = [];
const taskList = {
  hello: async (payload) => {
    first ||= now();
    // Enqueued one by one, jobs bear the time at which the transaction of their INSERT began.
    if (payload.at) waits.push(now() - payload.at);
  },
};

if (mode === "drain") {
  await runOnce({ ...options, taskList });
} else {
  // Its own way to stop ends with the signal, before anything could be said.
  const runner = await run({ ...options, taskList, noHandleSignals: true });
  process.once("SIGTERM", () => runner.stop());
  await runner.promise;
}
console.log(JSON.stringify({ seconds: (now() - first) / 1000, waits }));
process.exit(0);

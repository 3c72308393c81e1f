// {{name}}: a plugin for pgq-host. README.md lists the commands.
import { entrypoint, log, plugin, Reject } from "pgq-plugin";

plugin("{{name}}", "0.1.0");

/** The payload, as producers write it. payload.json is an example. */
interface Greeting {
  name: string;
}

/** Types are gone when a job runs: what a producer may get wrong is checked here. What this throws rejects the job. */
function greeting(value: unknown): Greeting {
  const { name } = (value ?? {}) as Partial<Greeting>;
  if (typeof name !== "string") throw new TypeError("`name` is missing");
  return { name };
}

entrypoint("{{name}}", { maxAttempts: 5, timeout: 10 }, (job) => {
  const { name } = job.json(greeting);
  if (!name) throw new Reject("the name is empty");
  log.info(`greeting ${name}`, { attempt: job.attempt });
  return `Hello, ${name}!`;
});

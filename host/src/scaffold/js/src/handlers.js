// {{name}}: a plugin for pgq-host. README.md lists the commands.
import { entrypoint, log, plugin, Reject } from "pgq-plugin";

plugin("{{name}}", "0.1.0");

// The payload is JSON, as producers write it: {"name": "Ada"}. payload.json is an example.
entrypoint("{{name}}", { maxAttempts: 5, timeout: 10 }, (job) => {
  const { name } = job.json();
  if (!name) throw new Reject("the name is empty");
  log.info(`greeting ${name}`, { attempt: job.attempt });
  return `Hello, ${name}!`;
});

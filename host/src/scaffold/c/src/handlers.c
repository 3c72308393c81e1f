/* {{name}}: a plugin for pgq-host. README.md lists the commands. */
#include "pgq.h"

PGQ_PLUGIN("{{name}}", "0.1.0")

/* The payload is JSON, as producers write it: {"name": "Ada"}. payload.json is an example. */
static pgq_result greet(const pgq_job *job) {
  pgq_json payload, value;
  if (!pgq_json_payload(job, &payload) || !pgq_json_get(payload, "name", &value)) return pgq_reject("the payload has no `name`");
  const char *name = pgq_json_text(value);
  if (!name || !*name) return pgq_reject("the name is empty");
  pgq_log(PGQ_INFO, "greeting %s", name);
  return pgq_output("Hello, %s!", name);
}
PGQ_ENTRYPOINT(greet, "{{name}}", .max_attempts = 5, .timeout_ms = 10000)

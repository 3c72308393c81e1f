/* Handlers run here natively, without a host, a database or a component. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pgq_testing.h"

int main(void) {
  pgq_test_run run = pgq_test((pgq_test_job){.entrypoint = "{{name}}", .payload = "{\"name\": \"Ada\"}"});
  assert(run.result.how == PGQ_COMPLETE && !strcmp(run.result.output.data, "Hello, Ada!"));
  assert(run.log_count == 1 && !strcmp(run.logs[0].message, "greeting Ada"));

  run = pgq_test((pgq_test_job){.entrypoint = "{{name}}", .payload = "{\"name\": \"\"}"});
  assert(run.result.how == PGQ_REJECT);
  run = pgq_test((pgq_test_job){.entrypoint = "{{name}}"});
  assert(run.result.how == PGQ_REJECT && !strcmp(run.result.message, "the payload has no `name`"));
  puts("3 passed");
  return 0;
}

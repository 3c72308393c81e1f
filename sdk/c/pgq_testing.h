/* Run handlers in a unit test: natively, without a host, a database or a component. Link with pgq.c, pgq_json.c and
 * pgq_testing.c, in place of pgq_host.c. */
#ifndef PGQ_TESTING_H
#define PGQ_TESTING_H

#include "pgq.h"

/* What is 0 is as for the first attempt of a job. */
typedef struct pgq_test_job {
  const char *entrypoint;
  const char *payload; /* text, or NULL for SQL NULL */
  const pgq_pair *headers;
  size_t header_count;
  int64_t id;
  uint32_t attempt, max_attempts;
  pgq_directive directive;
  /* Answers requests. */
  bool (*http)(const pgq_http_request *request, pgq_http_response *response);
  /* Answers statements: how many rows were touched, or -1 with `error` set. Queries have these rows, of `width` values. */
  int64_t (*sql)(const char *statement, const pgq_value *parameters, size_t count, pgq_sql_error *error);
  const pgq_value *rows;
  size_t row_count, width;
} pgq_test_job;

/* How it ended. Valid until the next run. */
typedef struct pgq_test_run {
  pgq_result result;
  size_t log_count;
  struct {
    pgq_level level;
    const char *message;
  } logs[32]; /* the first ones */
  size_t enqueued_count;
  pgq_request enqueued[32]; /* nothing, unless the job completed */
} pgq_test_run;

/* An entrypoint that takes batches gets a batch of one. */
pgq_test_run pgq_test(pgq_test_job job);

/* Run jobs of one entrypoint in one call, with these payloads. `job` says the rest. Results are valid until the next run. */
const pgq_result *pgq_test_batch(pgq_test_job job, const char *const *payloads, size_t count);

#endif

/* The calls of the host, answered by a test. */
#include "pgq_testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgq_internal.h"

static pgq_test_job current;
static pgq_test_run run;
static pgq_sql_error sql_error;

struct pgq_rows {
  size_t at;
};

/* Of a batch, by the job's handle. */
static const char *const *payloads;

static pgq_job begin(pgq_test_job job) {
  pgq_free_all();
  current = job;
  run = (pgq_test_run){0};
  payloads = &current.payload;
  pgq_entrypoint *found = pgq_find(job.entrypoint);
  uint32_t most = job.max_attempts ? job.max_attempts : found && found->options.max_attempts ? found->options.max_attempts : 25;
  return (pgq_job){.id = job.id ? job.id : 1, .entrypoint = job.entrypoint, .attempt = job.attempt ? job.attempt : 1, .max_attempts = most,
                   .created_ms = 1767225600000};
}

pgq_test_run pgq_test(pgq_test_job job) {
  pgq_job made = begin(job);
  run.result = pgq_run(&made);
  if (run.result.how != PGQ_COMPLETE) run.enqueued_count = 0;
  return run;
}

const pgq_result *pgq_test_batch(pgq_test_job job, const char *const *of, size_t count) {
  pgq_job first = begin(job);
  payloads = of;
  pgq_job *jobs = pgq_alloc(count * sizeof *jobs);
  pgq_result *results = pgq_alloc(count * sizeof *results);
  for (size_t n = 0; n < count; n++) {
    jobs[n] = first;
    jobs[n].id += (int64_t)n;
    jobs[n].handle = (int32_t)n;
  }
  pgq_run_batch(jobs, count, results);
  return results;
}

pgq_bytes pgq_payload(const pgq_job *job) {
  const char *payload = payloads[job->handle];
  return payload ? (pgq_bytes){payload, strlen(payload)} : (pgq_bytes){NULL, 0};
}

const char *pgq_header(const pgq_job *job, const char *name) {
  (void)job;
  for (size_t n = 0; n < current.header_count; n++)
    if (!strcmp(current.headers[n].name, name)) return current.headers[n].value;
  return NULL;
}

uint64_t pgq_time_left_ms(const pgq_job *job) {
  (void)job;
  return 60000;
}

pgq_directive pgq_heartbeat(const pgq_job *job) {
  (void)job;
  return current.directive;
}

void pgq_log_fields(pgq_level level, const char *message, const pgq_pair *fields, size_t count) {
  (void)fields;
  (void)count;
  if (run.log_count == sizeof run.logs / sizeof *run.logs) return;
  run.logs[run.log_count].level = level;
  run.logs[run.log_count++].message = pgq_copy(message, strlen(message));
}

const char *pgq_enqueue(const pgq_request *request) {
  if (run.enqueued_count == sizeof run.enqueued / sizeof *run.enqueued) return "a test keeps no more requests";
  pgq_request copy = *request;
  if (copy.payload) copy.payload = pgq_copy(copy.payload, copy.payload_length);
  run.enqueued[run.enqueued_count++] = copy;
  return NULL;
}

static void missing(const char *what, const char *for_what) {
  fprintf(stderr, "the handler needs an answer, and the test has no `%s`: %s\n", what, for_what);
  abort();
}

bool pgq_http(const pgq_http_request *request, pgq_http_response *response) {
  *response = (pgq_http_response){0};
  if (!current.http) missing("http", request->url);
  return current.http(request, response);
}

int64_t pgq_execute(const char *statement, const pgq_value *parameters, size_t count) {
  if (!current.sql) missing("sql", statement);
  sql_error = (pgq_sql_error){0};
  return current.sql(statement, parameters, count, &sql_error);
}

pgq_rows *pgq_query(const char *statement, const pgq_value *parameters, size_t count) {
  if (pgq_execute(statement, parameters, count) < 0) return NULL;
  pgq_rows *rows = pgq_alloc(sizeof *rows);
  rows->at = 0;
  return rows;
}

const pgq_value *pgq_next(pgq_rows *rows) { return rows->at < current.row_count ? &current.rows[rows->at++ * current.width] : NULL; }

pgq_sql_error pgq_sql_failure(void) { return sql_error; }

uint32_t pgq_savepoint(void) { return pgq_execute("SAVEPOINT", NULL, 0) < 0 ? 0 : 1; }

bool pgq_release(uint32_t savepoint) { return savepoint && pgq_execute("RELEASE", NULL, 0) >= 0; }

bool pgq_roll_back(uint32_t savepoint) { return savepoint && pgq_execute("ROLLBACK", NULL, 0) >= 0; }

/* What goes wrong in handlers, and what the host makes of it. Built into the examples' component. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pgq.h"

static pgq_result noop(const pgq_job *job) {
  (void)job;
  return pgq_done();
}
PGQ_ENTRYPOINT(noop, "c-noop", .max_attempts = 1, .reuse = 1000)
PGQ_ENTRYPOINT(noop, "c-fresh", .max_attempts = 1)

__attribute__((noinline)) static void lookup(volatile int *customer) {
  if (!customer) {
    fprintf(stderr, "there is no customer\n");
    abort();
  }
}

static pgq_result aborts(const pgq_job *job) {
  (void)job;
  lookup(NULL);
  return pgq_done();
}
PGQ_ENTRYPOINT(aborts, "c-aborts", .max_attempts = 1)

static pgq_result loops(const pgq_job *job) {
  (void)job;
  for (volatile int n = 0;; n++) continue;
}
PGQ_ENTRYPOINT(loops, "c-loops", .max_attempts = 1, .timeout_ms = 500)

static pgq_result sleeps(const pgq_job *job) {
  (void)job;
  sleep(600);
  return pgq_done();
}
PGQ_ENTRYPOINT(sleeps, "c-sleeps", .max_attempts = 1, .timeout_ms = 500)

static pgq_result hogs(const pgq_job *job) {
  (void)job;
  for (;;) memset(pgq_alloc(1 << 20), 1, 1 << 20);
}
PGQ_ENTRYPOINT(hogs, "c-hogs", .max_attempts = 1, .memory = 64 << 20)

__attribute__((noinline)) static int deeper(volatile int n) {
  volatile char pad[1000];
  pad[0] = (char)n;
  return deeper(n + 1) + pad[0];
}

static pgq_result deep(const pgq_job *job) {
  (void)job;
  return pgq_output("%d", deeper(0));
}
PGQ_ENTRYPOINT(deep, "c-deep", .max_attempts = 1)

static int failed;

static pgq_result again(const pgq_job *job) {
  (void)job;
  return pgq_retry("failure %d", ++failed);
}
PGQ_ENTRYPOINT(again, "c-again", .max_attempts = 1, .reuse = 1000)

static pgq_result sql(const pgq_job *job) {
  (void)job;
  uint32_t savepoint = pgq_savepoint();
  if (!savepoint) return pgq_retry("%s", pgq_sql_failure().message);
  const char *state = "";
  if (pgq_execute("INSERT INTO account VALUES (1, 0)", NULL, 0) < 0) {
    state = pgq_sql_failure().sqlstate;
    pgq_roll_back(savepoint);
  }
  pgq_value change[] = {pgq_int(1), pgq_int(10)};
  if (pgq_execute("UPDATE account SET balance = balance - $2 WHERE id = $1", change, 2) != 1) return pgq_retry("%s", pgq_sql_failure().message);
  pgq_value all[] = {pgq_int(1), pgq_text("1.50"), pgq_text("2026-01-02T03:04:05.000006Z"), pgq_bool(true), pgq_float(0.5), pgq_blob("\0", 1)};
  pgq_rows *rows = pgq_query("SELECT $1::int4, $2::numeric, $3::timestamptz, $4::bool, $5::float8, $6::bytea, NULL::int8", all, 6);
  const pgq_value *row = rows ? pgq_next(rows) : NULL;
  if (!row) return pgq_retry("%s", pgq_sql_failure().message);
  if (row[0].integer != 1 || strcmp(row[1].bytes.data, "1.50") || row[2].integer != 1767323045000006 || !row[3].integer || row[4].number != 0.5 ||
      row[5].bytes.length != 1 || row[6].type != PGQ_NULL)
    return pgq_reject("the row is not what was asked for");
  int64_t sum = 0;
  rows = pgq_query("SELECT g::int8 FROM generate_series(1, 1200) g", NULL, 0);
  while (rows && (row = pgq_next(rows))) sum += row[0].integer;
  return pgq_output("{\"state\":\"%s\",\"sum\":%lld}", state, (long long)sum);
}
PGQ_ENTRYPOINT(sql, "c-sql", .max_attempts = 1)

static void batch(const pgq_job *jobs, size_t count, pgq_result *results) {
  for (size_t n = 0; n < count; n++) {
    const char *text = pgq_payload(&jobs[n]).data;
    results[n] = !strcmp(text, "odd") ? pgq_reject("odd") : pgq_output("%s of %zu", text, count);
  }
}
PGQ_BATCH(batch, "c-batch", 100, .reuse = 1000)

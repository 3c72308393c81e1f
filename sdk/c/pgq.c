/* What needs no host: declarations, results, and memory. */
#include "pgq_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *plugin_name = "", *plugin_version = "0.0.0";
static pgq_entrypoint *entrypoints;
static pgq_need *needs;

void pgq_set_plugin(const char *name, const char *version) {
  plugin_name = name;
  plugin_version = version;
}

/* At the end, so that they are declared in their order. */
void pgq_add_entrypoint(pgq_entrypoint *added) {
  pgq_entrypoint **last = &entrypoints;
  while (*last) last = &(*last)->next;
  *last = added;
}

void pgq_add_need(pgq_need *added) {
  added->next = needs;
  needs = added;
}

pgq_entrypoint *pgq_find(const char *name) {
  for (pgq_entrypoint *one = entrypoints; one; one = one->next)
    if (!strcmp(one->name, name)) return one;
  return NULL;
}

pgq_result pgq_run(const pgq_job *job) {
  pgq_entrypoint *found = pgq_find(job->entrypoint);
  if (found && found->handler) return found->handler(job);
  pgq_result result;
  pgq_run_batch(job, 1, &result);
  return result;
}

void pgq_run_batch(const pgq_job *jobs, size_t count, pgq_result *results) {
  pgq_entrypoint *found = pgq_find(jobs->entrypoint);
  bool served = found && found->batch;
  for (size_t n = 0; n < count; n++)
    results[n] = served ? pgq_retry("the handler of %s returned no result for this job", found->name)
                        : pgq_reject("the plugin does not serve the entrypoint %s", jobs->entrypoint);
  if (served) found->batch(jobs, count, results);
}

/* Blocks in a list. Each is freed with all others. */
typedef struct block {
  struct block *next;
  max_align_t data[];
} block;

static block *blocks;

void *pgq_alloc(size_t size) {
  block *made = size > SIZE_MAX - sizeof(block) ? NULL : malloc(sizeof(block) + size);
  if (!made) {
    fprintf(stderr, "out of memory: %zu bytes cannot be had\n", size);
    abort();
  }
  made->next = blocks;
  blocks = made;
  return made->data;
}

void pgq_free_all(void) {
  while (blocks) {
    block *next = blocks->next;
    free(blocks);
    blocks = next;
  }
}

char *pgq_copy(const void *data, size_t length) {
  char *copy = pgq_alloc(length + 1);
  if (length) memcpy(copy, data, length);
  copy[length] = 0;
  return copy;
}

static char *vformat(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length < 0) return pgq_copy(format, strlen(format));
  char *text = pgq_alloc((size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  return text;
}

#define FORMATTED(text)                   \
  va_list arguments;                      \
  va_start(arguments, format);            \
  char *text = vformat(format, arguments); \
  va_end(arguments)

char *pgq_format(const char *format, ...) {
  FORMATTED(text);
  return text;
}

void pgq_log(pgq_level level, const char *format, ...) {
  FORMATTED(text);
  pgq_log_fields(level, text, NULL, 0);
}

pgq_result pgq_done(void) { return (pgq_result){.how = PGQ_COMPLETE}; }

pgq_result pgq_output_bytes(const void *data, size_t length) {
  return (pgq_result){.how = PGQ_COMPLETE, .output = {pgq_copy(data, length), length}};
}

pgq_result pgq_output(const char *format, ...) {
  FORMATTED(text);
  return (pgq_result){.how = PGQ_COMPLETE, .output = {text, strlen(text)}};
}

pgq_result pgq_snooze(uint64_t after_ms) { return (pgq_result){.how = PGQ_SNOOZE, .has_after = true, .after_ms = after_ms}; }

pgq_result pgq_discard(const char *format, ...) {
  FORMATTED(text);
  return (pgq_result){.how = PGQ_DISCARD, .message = text};
}

pgq_result pgq_retry(const char *format, ...) {
  FORMATTED(text);
  return (pgq_result){.how = PGQ_RETRY, .message = text};
}

pgq_result pgq_retry_after(uint64_t after_ms, const char *format, ...) {
  FORMATTED(text);
  return (pgq_result){.how = PGQ_RETRY, .message = text, .has_after = true, .after_ms = after_ms};
}

pgq_result pgq_reject(const char *format, ...) {
  FORMATTED(text);
  return (pgq_result){.how = PGQ_REJECT, .message = text};
}

const char *pgq_idempotency_key(const pgq_job *job) {
  const char *key = pgq_header(job, "idempotency-key");
  return key && *key ? key : pgq_format("pgq-%" PRId64 "-%" PRIu64, job->id, job->created_ms);
}

const char *pgq_http_header(const pgq_http_response *response, const char *name) {
  for (size_t n = 0; n < response->header_count; n++)
    if (!strcmp(response->headers[n].name, name)) return response->headers[n].value;
  return NULL;
}

pgq_value pgq_null(void) { return (pgq_value){.type = PGQ_NULL}; }
pgq_value pgq_bool(bool value) { return (pgq_value){.type = PGQ_BOOL, .integer = value}; }
pgq_value pgq_int(int64_t value) { return (pgq_value){.type = PGQ_INT, .integer = value}; }
pgq_value pgq_float(double value) { return (pgq_value){.type = PGQ_FLOAT, .number = value}; }
pgq_value pgq_text(const char *text) { return text ? (pgq_value){.type = PGQ_TEXT, .bytes = {text, strlen(text)}} : pgq_null(); }
pgq_value pgq_blob(const void *data, size_t length) { return (pgq_value){.type = PGQ_BYTES, .bytes = {data, length}}; }

static const char *number(const char *key, uint64_t value) { return value ? pgq_format(",\"%s\":%" PRIu64, key, value) : ""; }

static const char *declare(const pgq_entrypoint *one) {
  const pgq_options *o = &one->options;
  const char *backoff = !o->backoff.initial_ms && !o->backoff.multiplier && !o->backoff.max_ms
                            ? ""
                            : pgq_format(",\"backoff\":{\"initial-ms\":%" PRIu64 ",\"multiplier\":%" PRIu32 ",\"max-ms\":%" PRIu64 "}",
                                         o->backoff.initial_ms, o->backoff.multiplier, o->backoff.max_ms);
  const char *failure = o->on_failure ? pgq_format(",\"on-failure\":%s", pgq_json_quote(o->on_failure)) : "";
  const char *zone = o->time_zone ? pgq_format(",\"time-zone\":%s", pgq_json_quote(o->time_zone)) : "";
  const char *schedule = o->schedule ? pgq_format(",\"schedules\":[{\"expression\":%s%s}]", pgq_json_quote(o->schedule), zone) : "";
  return pgq_format("{\"entrypoints\":[{\"name\":%s%s%s%s%s%s%s%s%s%s}]}", pgq_json_quote(one->name), number("max-attempts", o->max_attempts),
                    number("timeout-ms", o->timeout_ms), number("memory", o->memory), number("concurrency", o->concurrency),
                    number("reuse", o->reuse), number("batch", one->max_jobs), backoff, failure, schedule);
}

const char *pgq_declaration(size_t wanted) {
  if (wanted) {
    pgq_entrypoint *one = entrypoints;
    while (one && --wanted) one = one->next;
    return one ? declare(one) : NULL;
  }
  static const char *const kinds[] = {"http", "config", "secret", "env", "directory", "enqueue", "sql"};
  char *all = "";
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    char *some = "";
    for (pgq_need *need = needs; need; need = need->next)
      if (!strcmp(need->kind, kinds[kind])) some = pgq_format("%s%s%s", some, *some ? "," : "", pgq_json_quote(need->what));
    all = pgq_format("%s%s\"%s\":[%s]", all, *all ? "," : "", kinds[kind], some);
  }
  return pgq_format("{\"name\":%s,\"version\":%s,\"needs\":{%s}}", pgq_json_quote(plugin_name), pgq_json_quote(plugin_version), all);
}

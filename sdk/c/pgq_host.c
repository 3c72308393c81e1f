/* The component's exports, and the calls of the host. Links with bindings/, which wit-bindgen made of wit/. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/plugin.h"
#include "pgq_internal.h"

/* A call passes 256 KiB at most. */
enum { PIECE = 64 * 1024, MESSAGE = 8000, PORTION = 200 };

static plugin_string_t text(const char *from) {
  plugin_string_t made;
  plugin_string_set(&made, from);
  return made;
}

static plugin_list_u8_t bytes(const void *data, size_t length) { return (plugin_list_u8_t){(uint8_t *)data, length}; }

/* Into memory of the run. */
static char *taken(plugin_string_t *from) {
  char *copy = pgq_copy(from->ptr, from->len);
  plugin_string_free(from);
  return copy;
}

/* Into memory of the host's bindings, which frees it. */
static void given(plugin_string_t *to, const char *from) {
  size_t length = strlen(from);
  if (length > MESSAGE) {
    length = MESSAGE;
    while (length && (from[length] & 0xc0) == 0x80) length--; /* not within a character */
  }
  plugin_string_dup_n(to, from, length);
}

bool exports_pgq_plugin_describe_register(exports_pgq_plugin_describe_borrow_registrar_t registrar, plugin_string_t *error) {
  (void)error;
  const char *declaration;
  for (size_t n = 0; (declaration = pgq_declaration(n)); n++) {
    plugin_string_t json = text(declaration);
    pgq_plugin_registry_method_registrar_declare(registrar, &json);
  }
  pgq_plugin_registry_registrar_drop_borrow(registrar);
  pgq_free_all();
  return true;
}

static void forget_sql(void);

static pgq_job job_of(pgq_plugin_jobs_borrow_job_t raw) {
  pgq_plugin_jobs_details_t details;
  pgq_plugin_jobs_method_job_details(raw, &details);
  return (pgq_job){.id = details.id, .attempt = details.attempt, .max_attempts = details.max_attempts, .priority = details.priority,
                   .created_ms = details.created, .entrypoint = taken(&details.entrypoint), .handle = raw.__handle};
}

/* In the host's words. False for a failure. */
static bool told(const pgq_result *result, exports_pgq_plugin_handler_outcome_t *outcome, exports_pgq_plugin_handler_failure_t *failure) {
  switch (result->how) {
    case PGQ_COMPLETE:
      outcome->tag = PGQ_PLUGIN_JOBS_OUTCOME_COMPLETE;
      outcome->val.complete.is_some = result->output.data != NULL;
      if (result->output.data) {
        plugin_string_t copy;
        plugin_string_dup_n(&copy, result->output.data, result->output.length);
        outcome->val.complete.val = (plugin_list_u8_t){copy.ptr, copy.len};
      }
      return true;
    case PGQ_SNOOZE:
      outcome->tag = PGQ_PLUGIN_JOBS_OUTCOME_SNOOZE;
      outcome->val.snooze = result->after_ms;
      return true;
    case PGQ_DISCARD:
      outcome->tag = PGQ_PLUGIN_JOBS_OUTCOME_DISCARD;
      given(&outcome->val.discard, result->message);
      return true;
    case PGQ_REJECT:
      failure->tag = PGQ_PLUGIN_JOBS_FAILURE_REJECT;
      given(&failure->val.reject, result->message);
      return false;
    case PGQ_RETRY:
      break;
  }
  failure->tag = PGQ_PLUGIN_JOBS_FAILURE_RETRY;
  given(&failure->val.retry.message, result->message);
  failure->val.retry.after.is_some = result->has_after;
  failure->val.retry.after.val = result->after_ms;
  return false;
}

bool exports_pgq_plugin_handler_handle(exports_pgq_plugin_handler_borrow_job_t raw, exports_pgq_plugin_handler_outcome_t *outcome,
                                       exports_pgq_plugin_handler_failure_t *failure) {
  pgq_job job = job_of(raw);
  pgq_result result = pgq_run(&job);
  fflush(NULL);
  pgq_plugin_jobs_job_drop_borrow(raw);
  bool well = told(&result, outcome, failure);
  forget_sql();
  pgq_free_all();
  return well;
}

void exports_pgq_plugin_batch_handler_handle_batch(exports_pgq_plugin_batch_handler_list_own_job_t *raws,
                                                   exports_pgq_plugin_batch_handler_list_result_outcome_failure_t *ret) {
  pgq_job *jobs = pgq_alloc(raws->len * sizeof *jobs);
  pgq_result *results = pgq_alloc(raws->len * sizeof *results);
  for (size_t n = 0; n < raws->len; n++) jobs[n] = job_of(pgq_plugin_jobs_borrow_job(raws->ptr[n]));
  pgq_run_batch(jobs, raws->len, results);
  fflush(NULL);
  ret->len = raws->len;
  ret->ptr = calloc(raws->len, sizeof *ret->ptr);
  if (!ret->ptr) abort();
  for (size_t n = 0; n < raws->len; n++) {
    exports_pgq_plugin_handler_outcome_t outcome;
    exports_pgq_plugin_handler_failure_t failure;
    ret->ptr[n].is_err = !told(&results[n], &outcome, &failure);
    if (ret->ptr[n].is_err)
      ret->ptr[n].val.err = failure;
    else
      ret->ptr[n].val.ok = outcome;
    pgq_plugin_jobs_job_drop_own(raws->ptr[n]);
  }
  exports_pgq_plugin_batch_handler_list_own_job_free(raws);
  forget_sql();
  pgq_free_all();
}

static pgq_plugin_jobs_borrow_job_t of(const pgq_job *job) { return (pgq_plugin_jobs_borrow_job_t){job->handle}; }

pgq_bytes pgq_payload(const pgq_job *job) {
  plugin_list_u8_t found;
  if (!pgq_plugin_jobs_method_job_payload(of(job), &found)) return (pgq_bytes){NULL, 0};
  pgq_bytes payload = {pgq_copy(found.ptr, found.len), found.len};
  plugin_list_u8_free(&found);
  return payload;
}

const char *pgq_header(const pgq_job *job, const char *name) {
  plugin_string_t key = text(name), found;
  return pgq_plugin_jobs_method_job_header(of(job), &key, &found) ? taken(&found) : NULL;
}

uint64_t pgq_time_left_ms(const pgq_job *job) { return pgq_plugin_jobs_method_job_time_left(of(job)); }

pgq_directive pgq_heartbeat(const pgq_job *job) { return (pgq_directive)pgq_plugin_jobs_method_job_heartbeat(of(job)); }

void pgq_log_fields(pgq_level level, const char *message, const pgq_pair *fields, size_t count) {
  plugin_tuple2_string_string_t *pairs = pgq_alloc(count * sizeof *pairs);
  for (size_t n = 0; n < count; n++) pairs[n] = (plugin_tuple2_string_string_t){text(fields[n].name), text(fields[n].value)};
  plugin_list_tuple2_string_string_t list = {pairs, count};
  plugin_string_t line = text(message);
  pgq_plugin_log_emit((pgq_plugin_log_level_t)level, &line, &list);
}

const char *pgq_enqueue(const pgq_request *wanted) {
  plugin_string_t entrypoint = text(wanted->entrypoint), error;
  pgq_plugin_enqueue_own_request_t own = pgq_plugin_enqueue_constructor_request(&entrypoint);
  pgq_plugin_enqueue_borrow_request_t request = pgq_plugin_enqueue_borrow_request(own);
  if (wanted->payload) {
    plugin_list_u8_t payload = bytes(wanted->payload, wanted->payload_length);
    pgq_plugin_enqueue_method_request_payload(request, &payload);
  }
  if (wanted->priority) pgq_plugin_enqueue_method_request_priority(request, wanted->priority);
  if (wanted->delay_ms) pgq_plugin_enqueue_method_request_delay(request, wanted->delay_ms);
  if (wanted->dedupe_key) {
    plugin_string_t key = text(wanted->dedupe_key);
    pgq_plugin_enqueue_method_request_dedupe_key(request, &key);
  }
  for (size_t n = 0; n < wanted->header_count; n++) {
    plugin_string_t name = text(wanted->headers[n].name), value = text(wanted->headers[n].value);
    pgq_plugin_enqueue_method_request_header(request, &name, &value);
  }
  bool taken_over = pgq_plugin_enqueue_method_request_submit(request, &error);
  pgq_plugin_enqueue_request_drop_own(own);
  return taken_over ? NULL : taken(&error);
}

static bool http_failed(pgq_plugin_http_own_error_t own, pgq_http_response *response) {
  plugin_string_t message;
  pgq_plugin_http_method_error_message(pgq_plugin_http_borrow_error(own), &message);
  response->error = taken(&message);
  pgq_plugin_http_error_drop_own(own);
  return false;
}

bool pgq_http(const pgq_http_request *wanted, pgq_http_response *response) {
  *response = (pgq_http_response){0};
  plugin_string_t method = text(wanted->method), url = text(wanted->url);
  pgq_plugin_http_own_request_t own = pgq_plugin_http_constructor_request(&method, &url);
  pgq_plugin_http_borrow_request_t request = pgq_plugin_http_borrow_request(own);
  for (size_t n = 0; n < wanted->header_count; n++) {
    plugin_string_t name = text(wanted->headers[n].name), value = text(wanted->headers[n].value);
    pgq_plugin_http_method_request_header(request, &name, &value);
  }
  for (size_t at = 0; at < wanted->body_length; at += PIECE) {
    size_t left = wanted->body_length - at;
    plugin_list_u8_t piece = bytes((const char *)wanted->body + at, left < PIECE ? left : PIECE);
    pgq_plugin_http_method_request_body(request, &piece);
  }
  if (wanted->timeout_ms) pgq_plugin_http_method_request_timeout(request, wanted->timeout_ms);
  pgq_plugin_http_own_response_t answer;
  pgq_plugin_http_own_error_t error;
  if (!pgq_plugin_http_send(own, &answer, &error)) return http_failed(error, response);

  pgq_plugin_http_borrow_response_t from = pgq_plugin_http_borrow_response(answer);
  response->status = pgq_plugin_http_method_response_status(from);
  plugin_list_tuple2_string_string_t headers;
  pgq_plugin_http_method_response_headers(from, &headers);
  pgq_pair *pairs = pgq_alloc(headers.len * sizeof *pairs);
  for (size_t n = 0; n < headers.len; n++)
    pairs[n] = (pgq_pair){pgq_copy(headers.ptr[n].f0.ptr, headers.ptr[n].f0.len), pgq_copy(headers.ptr[n].f1.ptr, headers.ptr[n].f1.len)};
  response->headers = pairs;
  response->header_count = headers.len;
  plugin_list_tuple2_string_string_free(&headers);

  char *body = NULL;
  size_t length = 0, room = 0;
  bool whole = true;
  for (;;) {
    plugin_list_u8_t piece;
    if (!pgq_plugin_http_method_response_read(from, PIECE, &piece, &error)) {
      whole = http_failed(error, response);
      break;
    }
    if (!piece.len) break;
    if (length + piece.len > room) {
      room = (length + piece.len) * 2;
      char *larger = realloc(body, room);
      if (!larger) abort();
      body = larger;
    }
    memcpy(body + length, piece.ptr, piece.len);
    length += piece.len;
    plugin_list_u8_free(&piece);
  }
  response->body = (pgq_bytes){pgq_copy(body, length), length};
  free(body);
  pgq_plugin_http_response_drop_own(answer);
  return whole;
}

/* Rows that are open, closed at the end of the run at the latest. */
struct pgq_rows {
  pgq_plugin_sql_own_cursor_t cursor;
  pgq_value **rows;
  size_t count, at;
  struct pgq_rows *next;
};

static struct pgq_rows *open_rows;
static pgq_sql_error sql_error;

static void sql_failed(pgq_plugin_sql_own_error_t own) {
  static const char *const kinds[] = {"database", "refused", "limit", "conversion", "connection"};
  pgq_plugin_sql_borrow_error_t error = pgq_plugin_sql_borrow_error(own);
  plugin_string_t message, sqlstate;
  pgq_plugin_sql_method_error_message(error, &message);
  sql_error = (pgq_sql_error){.kind = kinds[pgq_plugin_sql_method_error_kind(error)], .message = taken(&message)};
  if (pgq_plugin_sql_method_error_sqlstate(error, &sqlstate)) sql_error.sqlstate = taken(&sqlstate);
  pgq_plugin_sql_error_drop_own(own);
}

static void forget_sql(void) {
  for (; open_rows; open_rows = open_rows->next) pgq_plugin_sql_cursor_drop_own(open_rows->cursor);
  sql_error = (pgq_sql_error){0};
}

pgq_sql_error pgq_sql_failure(void) { return sql_error; }

static pgq_plugin_sql_list_value_t values(const pgq_value *from, size_t count) {
  pgq_plugin_sql_value_t *made = pgq_alloc(count * sizeof *made);
  for (size_t n = 0; n < count; n++) {
    pgq_plugin_sql_scalar_t scalar = {.tag = PGQ_PLUGIN_SQL_SCALAR_NULL};
    switch (from[n].type) {
      case PGQ_NULL:
        break;
      case PGQ_BOOL:
        scalar.tag = PGQ_PLUGIN_SQL_SCALAR_BOOLEAN;
        scalar.val.boolean = from[n].integer != 0;
        break;
      case PGQ_INT:
        scalar.tag = PGQ_PLUGIN_SQL_SCALAR_INT64;
        scalar.val.int64 = from[n].integer;
        break;
      case PGQ_FLOAT:
        scalar.tag = PGQ_PLUGIN_SQL_SCALAR_FLOAT64;
        scalar.val.float64 = from[n].number;
        break;
      case PGQ_TEXT:
        scalar.tag = PGQ_PLUGIN_SQL_SCALAR_TEXT;
        scalar.val.text = (plugin_string_t){(uint8_t *)from[n].bytes.data, from[n].bytes.length};
        break;
      case PGQ_BYTES:
        scalar.tag = PGQ_PLUGIN_SQL_SCALAR_BYTES;
        scalar.val.bytes = bytes(from[n].bytes.data, from[n].bytes.length);
        break;
    }
    made[n] = (pgq_plugin_sql_value_t){.tag = PGQ_PLUGIN_SQL_VALUE_ONE, .val.one = scalar};
  }
  return (pgq_plugin_sql_list_value_t){made, count};
}

int64_t pgq_execute(const char *statement, const pgq_value *parameters, size_t count) {
  plugin_string_t sql = text(statement);
  pgq_plugin_sql_list_value_t list = values(parameters, count);
  uint64_t touched;
  pgq_plugin_sql_own_error_t error;
  if (pgq_plugin_sql_execute(&sql, &list, &touched, &error)) return (int64_t)touched;
  sql_failed(error);
  return -1;
}

pgq_rows *pgq_query(const char *statement, const pgq_value *parameters, size_t count) {
  plugin_string_t sql = text(statement);
  pgq_plugin_sql_list_value_t list = values(parameters, count);
  pgq_plugin_sql_own_cursor_t cursor;
  pgq_plugin_sql_own_error_t error;
  if (!pgq_plugin_sql_query(&sql, &list, &cursor, &error)) {
    sql_failed(error);
    return NULL;
  }
  struct pgq_rows *rows = pgq_alloc(sizeof *rows);
  *rows = (struct pgq_rows){.cursor = cursor, .next = open_rows};
  open_rows = rows;
  return rows;
}

static bool value_of(const pgq_plugin_sql_value_t *from, pgq_value *to) {
  if (from->tag != PGQ_PLUGIN_SQL_VALUE_ONE) return false;
  const pgq_plugin_sql_scalar_t *one = &from->val.one;
  switch (one->tag) {
    case PGQ_PLUGIN_SQL_SCALAR_NULL:
      *to = pgq_null();
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_BOOLEAN:
      *to = pgq_bool(one->val.boolean);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_INT16:
      *to = pgq_int(one->val.int16);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_INT32:
      *to = pgq_int(one->val.int32);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_DATE:
      *to = pgq_int(one->val.date);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_INT64:
      *to = pgq_int(one->val.int64);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_TIME:
      *to = pgq_int(one->val.time);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_TIMESTAMP:
      *to = pgq_int(one->val.timestamp);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_TIMESTAMPTZ:
      *to = pgq_int(one->val.timestamptz);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_FLOAT32:
      *to = pgq_float(one->val.float32);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_FLOAT64:
      *to = pgq_float(one->val.float64);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_BYTES:
      *to = pgq_blob(pgq_copy(one->val.bytes.ptr, one->val.bytes.len), one->val.bytes.len);
      return true;
    case PGQ_PLUGIN_SQL_SCALAR_INTERVAL:
      return false;
    default: { /* numeric, text, json and uuid */
      const plugin_string_t *words = &one->val.text;
      *to = (pgq_value){.type = PGQ_TEXT, .bytes = {pgq_copy(words->ptr, words->len), words->len}};
      return true;
    }
  }
}

const pgq_value *pgq_next(pgq_rows *rows) {
  if (rows->at < rows->count) return rows->rows[rows->at++];
  sql_error = (pgq_sql_error){0};
  pgq_plugin_sql_list_list_value_t some;
  pgq_plugin_sql_own_error_t error;
  if (!pgq_plugin_sql_method_cursor_next(pgq_plugin_sql_borrow_cursor(rows->cursor), PORTION, &some, &error)) {
    sql_failed(error);
    return NULL;
  }
  rows->at = 0;
  rows->count = some.len;
  rows->rows = pgq_alloc(some.len * sizeof *rows->rows);
  bool converted = true;
  for (size_t row = 0; row < some.len; row++) {
    size_t width = some.ptr[row].len;
    rows->rows[row] = pgq_alloc(width * sizeof **rows->rows);
    for (size_t n = 0; n < width; n++) converted &= value_of(&some.ptr[row].ptr[n], &rows->rows[row][n]);
  }
  pgq_plugin_sql_list_list_value_free(&some);
  if (!converted) {
    sql_error = (pgq_sql_error){.kind = "conversion", .message = "a column is an array or an interval: cast it to text"};
    rows->count = 0;
  }
  return rows->count ? rows->rows[rows->at++] : NULL;
}

uint32_t pgq_savepoint(void) {
  pgq_plugin_sql_own_savepoint_t made;
  pgq_plugin_sql_own_error_t error;
  if (pgq_plugin_sql_set_savepoint(&made, &error)) return (uint32_t)made.__handle;
  sql_failed(error);
  return 0;
}

static bool end(uint32_t handle, bool keep) {
  pgq_plugin_sql_own_savepoint_t own = {(int32_t)handle};
  pgq_plugin_sql_borrow_savepoint_t savepoint = pgq_plugin_sql_borrow_savepoint(own);
  pgq_plugin_sql_own_error_t error;
  bool ended = keep ? pgq_plugin_sql_method_savepoint_release(savepoint, &error) : pgq_plugin_sql_method_savepoint_roll_back(savepoint, &error);
  if (!ended) sql_failed(error);
  pgq_plugin_sql_savepoint_drop_own(own);
  return ended;
}

bool pgq_release(uint32_t savepoint) { return end(savepoint, true); }
bool pgq_roll_back(uint32_t savepoint) { return end(savepoint, false); }

/* Write job handlers for pgq-host in C.
 *
 *     #include "pgq.h"
 *
 *     PGQ_PLUGIN("greet", "0.1.0")
 *
 *     static pgq_result greet(const pgq_job *job) {
 *       pgq_json payload, name;
 *       if (!pgq_json_payload(job, &payload) || !pgq_json_get(payload, "name", &name)) return pgq_reject("there is no name");
 *       return pgq_output("Hello, %s!", pgq_json_text(name));
 *     }
 *     PGQ_ENTRYPOINT(greet, "greet", .max_attempts = 5, .timeout_ms = 10000)
 *
 * Everything that these functions return is freed when the handler has returned. What cannot be allocated ends the run. */
#ifndef PGQ_H
#define PGQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PGQ_PRINTF(at, first) __attribute__((format(printf, at, first)))

/* The job that a handler runs, for the duration of that call. */
typedef struct pgq_job {
  int64_t id;             /* of the row in the queue, the same for every attempt */
  const char *entrypoint; /* the name under which it was enqueued */
  uint32_t attempt;       /* 1 for the first; snoozed and released runs do not count */
  uint32_t max_attempts;
  int32_t priority;
  uint64_t created_ms; /* since 1970 */
  int32_t handle;      /* the SDK's */
} pgq_job;

typedef struct pgq_bytes {
  const char *data; /* with a zero after the last one; NULL for SQL NULL */
  size_t length;
} pgq_bytes;

typedef struct pgq_pair {
  const char *name, *value;
} pgq_pair;

typedef enum pgq_directive { PGQ_PROCEED, PGQ_CANCELLED, PGQ_SHUTTING_DOWN, PGQ_LEASE_LOST } pgq_directive;

/* The bytes that the producer stored. */
pgq_bytes pgq_payload(const pgq_job *job);
/* One header, or NULL. A string is its text, any other JSON value is JSON. */
const char *pgq_header(const pgq_job *job, const char *name);
/* A key by which a receiver can recognize this job, however often it runs. */
const char *pgq_idempotency_key(const pgq_job *job);
/* Wall time until the host interrupts this call. */
uint64_t pgq_time_left_ms(const pgq_job *job);
/* Ask whether to continue. Cheap: a long handler asks now and then, and returns early unless told to proceed. */
pgq_directive pgq_heartbeat(const pgq_job *job);

/* What a handler returns: made by one of the functions below. */
typedef struct pgq_result {
  enum { PGQ_COMPLETE, PGQ_SNOOZE, PGQ_DISCARD, PGQ_RETRY, PGQ_REJECT } how;
  pgq_bytes output;    /* of complete */
  const char *message; /* of the others */
  bool has_after;
  uint64_t after_ms; /* of snooze and retry */
} pgq_result;

pgq_result pgq_done(void);
/* Done, with this text or these bytes as the job's output. */
pgq_result pgq_output(const char *format, ...) PGQ_PRINTF(1, 2);
pgq_result pgq_output_bytes(const void *data, size_t length);
/* Not now: again after this time, at no cost of an attempt. */
pgq_result pgq_snooze(uint64_t after_ms);
/* Not needed any more. */
pgq_result pgq_discard(const char *format, ...) PGQ_PRINTF(1, 2);
/* Try again as long as attempts are left, after the entrypoint's back-off or after this time. */
pgq_result pgq_retry(const char *format, ...) PGQ_PRINTF(1, 2);
pgq_result pgq_retry_after(uint64_t after_ms, const char *format, ...) PGQ_PRINTF(2, 3);
/* Never try again. */
pgq_result pgq_reject(const char *format, ...) PGQ_PRINTF(1, 2);

typedef pgq_result (*pgq_handler)(const pgq_job *job);
/* Of `count` jobs at once, with a result for each: what is left out is a retry. */
typedef void (*pgq_batch_handler)(const pgq_job *jobs, size_t count, pgq_result *results);

/* What is 0 has the host's default; a fresh instance runs each job unless `reuse` says more. */
typedef struct pgq_options {
  uint32_t max_attempts;
  struct {
    uint64_t initial_ms;
    uint32_t multiplier;
    uint64_t max_ms;
  } backoff;
  uint64_t timeout_ms;
  uint64_t memory; /* bytes */
  uint32_t concurrency;
  uint32_t reuse;         /* jobs for each instance, with all its globals */
  const char *on_failure; /* "hold" or "delete" */
  const char *schedule;   /* a cron expression, in UTC or the time zone below */
  const char *time_zone;
} pgq_options;

typedef struct pgq_entrypoint {
  const char *name;
  pgq_handler handler;     /* one of the two */
  pgq_batch_handler batch;
  uint32_t max_jobs; /* of a batch */
  pgq_options options;
  struct pgq_entrypoint *next;
} pgq_entrypoint;

typedef struct pgq_need {
  const char *kind, *what;
  struct pgq_need *next;
} pgq_need;

void pgq_set_plugin(const char *name, const char *version);
void pgq_add_entrypoint(pgq_entrypoint *entrypoint);
void pgq_add_need(pgq_need *need);

#define PGQ_JOIN_(a, b) a##b
#define PGQ_JOIN(a, b) PGQ_JOIN_(a, b)
#define PGQ_AT_START static __attribute__((constructor, used)) void PGQ_JOIN(pgq_start_, __COUNTER__)(void)

/* Once: the plugin's name and version. */
#define PGQ_PLUGIN(name, version) \
  PGQ_AT_START { pgq_set_plugin(name, version); }
/* What it needs of the operator: "http" (an origin), "enqueue" (an entrypoint), "sql" (a purpose), "secret", "env", ... */
#define PGQ_NEEDS(kind_, what_)                                 \
  PGQ_AT_START {                                                \
    static pgq_need need = {.kind = (kind_), .what = (what_)}; \
    pgq_add_need(&need);                                        \
  }
/* Serve jobs of this name with this function. */
#define PGQ_ENTRYPOINT(function, name_, ...)                                                                      \
  PGQ_AT_START {                                                                                                  \
    static pgq_entrypoint entrypoint = {.name = (name_), .handler = (function), .options = (pgq_options){__VA_ARGS__}}; \
    pgq_add_entrypoint(&entrypoint);                                                                              \
  }

/* Serve up to so many jobs of this name with one call of this function, to share what is costly to set up. Follow-up jobs and
 * the database are refused in a batch. */
#define PGQ_BATCH(function, name_, max_jobs_, ...)                                                                       \
  PGQ_AT_START {                                                                                                         \
    static pgq_entrypoint entrypoint = {                                                                                 \
        .name = (name_), .batch = (function), .max_jobs = (max_jobs_), .options = (pgq_options){__VA_ARGS__}};           \
    pgq_add_entrypoint(&entrypoint);                                                                                     \
  }

/* Memory that is freed when the handler has returned. */
void *pgq_alloc(size_t size);
char *pgq_format(const char *format, ...) PGQ_PRINTF(1, 2);

typedef enum pgq_level { PGQ_TRACE, PGQ_DEBUG, PGQ_INFO, PGQ_WARN, PGQ_ERROR } pgq_level;

/* Lines of the job's log. What goes to stdout and stderr is there as well. */
void pgq_log(pgq_level level, const char *format, ...) PGQ_PRINTF(2, 3);
void pgq_log_fields(pgq_level level, const char *message, const pgq_pair *fields, size_t count);

/* A job to be enqueued when the current one completes, in the transaction that records it: both are there, or neither. */
typedef struct pgq_request {
  const char *entrypoint;
  const void *payload; /* NULL for none */
  size_t payload_length;
  int32_t priority;
  uint64_t delay_ms;
  const char *dedupe_key; /* dropped without an error if a job of that key is queued or running */
  const pgq_pair *headers;
  size_t header_count;
} pgq_request;

/* NULL, or why it was not taken. */
const char *pgq_enqueue(const pgq_request *request);

/* A value of a JSON text: part of it. */
typedef struct pgq_json {
  const char *start, *end;
} pgq_json;

/* The payload as JSON: false if it is something else. */
bool pgq_json_payload(const pgq_job *job, pgq_json *value);
/* Any text as JSON: false if it is something else, or nested deeper than 100. */
bool pgq_json_parse(const char *text, size_t length, pgq_json *value);
/* The value of a key: false if this is no object, or has none. */
bool pgq_json_get(pgq_json object, const char *key, pgq_json *value);
/* The item of a list, counted from 0. */
bool pgq_json_item(pgq_json list, size_t number, pgq_json *value);
/* Text without its quotes and escapes; NULL if it is something else. */
const char *pgq_json_text(pgq_json value);
bool pgq_json_number(pgq_json value, double *number);
/* Text with quotes and escapes. */
const char *pgq_json_quote(const char *text);

/* An HTTP request to an origin that the operator granted. Redirects are not followed. */
typedef struct pgq_http_request {
  const char *method, *url;
  const pgq_pair *headers; /* values may have {{secret:NAME}} in them */
  size_t header_count;
  const void *body;
  size_t body_length;
  uint64_t timeout_ms; /* for the connection, the head, and each piece of the body; 0 for the job's own time */
} pgq_http_request;

typedef struct pgq_http_response {
  uint16_t status;
  const pgq_pair *headers; /* names in lower case */
  size_t header_count;
  pgq_bytes body;
  const char *error; /* why there is none, where `pgq_http` is false */
} pgq_http_response;

bool pgq_http(const pgq_http_request *request, pgq_http_response *response);
/* The first header of this name (in lower case), or NULL. */
const char *pgq_http_header(const pgq_http_response *response, const char *name);

/* A parameter or a result. */
typedef struct pgq_value {
  enum { PGQ_NULL, PGQ_BOOL, PGQ_INT, PGQ_FLOAT, PGQ_TEXT, PGQ_BYTES } type;
  int64_t integer; /* also of PGQ_BOOL, and of times: days, or microseconds since 1970 */
  double number;
  pgq_bytes bytes; /* of PGQ_TEXT and PGQ_BYTES */
} pgq_value;

pgq_value pgq_null(void);
pgq_value pgq_bool(bool value);
pgq_value pgq_int(int64_t value);
pgq_value pgq_float(double value);
/* Good for any type: in the form that a literal would have. */
pgq_value pgq_text(const char *text);
pgq_value pgq_blob(const void *data, size_t length);

typedef struct pgq_sql_error {
  const char *kind; /* database, refused, limit, conversion, connection */
  const char *message;
  const char *sqlstate; /* or NULL */
} pgq_sql_error;

/* The rows of a statement. */
typedef struct pgq_rows pgq_rows;

/* All statements of a run are one transaction, committed in the statement that records the outcome. A statement that fails
 * aborts it: return a retry, or use a savepoint. `pgq_execute` is -1, the others NULL or false, after an error. */
int64_t pgq_execute(const char *statement, const pgq_value *parameters, size_t count);
pgq_rows *pgq_query(const char *statement, const pgq_value *parameters, size_t count);
/* The next row, NULL after the last one. Arrays and intervals have to be cast to text. */
const pgq_value *pgq_next(pgq_rows *rows);
/* The last error of this run. After `pgq_next`, its message is NULL if the rows just ended. */
pgq_sql_error pgq_sql_failure(void);
/* Savepoints nest; 0 is an error. What was done since is kept by a release, and undone by a roll-back. */
uint32_t pgq_savepoint(void);
bool pgq_release(uint32_t savepoint);
bool pgq_roll_back(uint32_t savepoint);

#endif

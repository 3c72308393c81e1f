#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "pgq_testing.h"

static int status;
static pgq_http_request sent;

static bool answer(const pgq_http_request *request, pgq_http_response *response) {
  static const pgq_pair headers[] = {{"retry-after", "120"}};
  sent = *request;
  *response = (pgq_http_response){.status = (uint16_t)status, .headers = headers, .header_count = 1, .body = {"tha\"nks", 7}};
  return true;
}

static pgq_test_run deliver(int with) {
  status = with;
  return pgq_test((pgq_test_job){.entrypoint = "c-webhook", .payload = "{\"url\": \"https://x.example/a\", \"body\": {\"b\": 1}}", .http = answer});
}

static void counts(const char *payload, const char *output) {
  pgq_test_run run = pgq_test((pgq_test_job){.entrypoint = "c-primes", .payload = payload});
  assert(run.result.how == PGQ_COMPLETE && !strcmp(run.result.output.data, output));
}

static bool is_json(const char *text) {
  pgq_json value;
  return pgq_json_parse(text, strlen(text), &value);
}

static void halves(const pgq_job *jobs, size_t count, pgq_result *results) {
  for (size_t n = 0; n + 1 < count; n++) results[n] = pgq_output("%s %d", pgq_payload(&jobs[n]).data, (int)jobs[n].id);
}
PGQ_BATCH(halves, "c-test-batch", 10, .max_attempts = 2)

int main(void) {
  pgq_test_run run = deliver(200);
  assert(run.result.how == PGQ_COMPLETE && !strcmp(run.result.output.data, "{\"status\":200,\"body\":\"tha\\\"nks\"}"));
  assert(!strcmp(sent.url, "https://x.example/a") && sent.body_length == 8 && !memcmp(sent.body, "{\"b\": 1}", 8));
  assert(!strcmp(sent.headers[1].value, "pgq-1-1767225600000"));
  assert(run.enqueued_count == 1 && !strcmp(run.enqueued[0].entrypoint, "c-receipt"));
  assert(!memcmp(run.enqueued[0].payload, "{\"job\":1,\"status\":200}", run.enqueued[0].payload_length));

  run = deliver(503);
  assert(run.result.how == PGQ_RETRY && run.result.after_ms == 120000 && !run.enqueued_count);
  run = deliver(404);
  assert(run.result.how == PGQ_REJECT && !strcmp(run.result.message, "the receiver answered 404: tha\"nks"));

  counts("{\"below\": 0}", "{\"primes\":0}");
  counts("{\"below\": 3}", "{\"primes\":1}");
  counts("{\"below\": 1e5}", "{\"primes\":9592}");
  assert(pgq_test((pgq_test_job){.entrypoint = "c-primes", .payload = "{\"below\": -1}"}).result.how == PGQ_REJECT);
  assert(pgq_test((pgq_test_job){.entrypoint = "nobody"}).result.how == PGQ_REJECT);

  static const char *const good[] = {"{}", " [1, -0.5e+3, true, null, \"\\u00e4\\n\", {\"a\": []}] ", "\"\"", "0"};
  static const char *const bad[] = {"", "{", "[1,]", "{\"a\" 1}", "01", "1.", "\"\\x\"", "\"\\u12\"", "tru", "[1] 2", "\"", "-", "{\"a\":1,}", "nul"};
  for (size_t n = 0; n < sizeof good / sizeof *good; n++) assert(is_json(good[n]));
  for (size_t n = 0; n < sizeof bad / sizeof *bad; n++) assert(!is_json(bad[n]));
  char deep[301];
  memset(deep, '[', 150);
  memset(deep + 150, ']', 150);
  deep[300] = 0;
  assert(!is_json(deep));
  pgq_json list, item;
  const char *text = "[\"\\ud83d\\ude00\\\"\", 7]";
  assert(pgq_json_parse(text, strlen(text), &list) && pgq_json_item(list, 0, &item) && !strcmp(pgq_json_text(item), "\xf0\x9f\x98\x80\""));
  assert(pgq_json_item(list, 1, &item) && !pgq_json_text(item) && !pgq_json_item(list, 2, &item));

  static const char *const payloads[] = {"a", "b", "c"};
  const pgq_result *results = pgq_test_batch((pgq_test_job){.entrypoint = "c-test-batch", .id = 7}, payloads, 3);
  assert(!strcmp(results[0].output.data, "a 7") && !strcmp(results[1].output.data, "b 8"));
  assert(results[2].how == PGQ_RETRY && !strcmp(results[2].message, "the handler of c-test-batch returned no result for this job"));
  results = pgq_test_batch((pgq_test_job){.entrypoint = "c-primes"}, payloads, 2);
  assert(results[0].how == PGQ_REJECT && results[1].how == PGQ_REJECT);
  puts("passed");
  return 0;
}

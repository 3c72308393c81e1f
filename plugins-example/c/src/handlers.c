/* Two handlers: a webhook that is delivered in the end, with a follow-up, and one that computes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pgq.h"

PGQ_PLUGIN("c-example", "0.1.0")
PGQ_NEEDS("enqueue", "c-receipt")

/* Seconds, as far as the header is a number of them. */
static bool retry_after(const pgq_http_response *answer, uint64_t *ms) {
  const char *wait = pgq_http_header(answer, "retry-after");
  if (!wait || !*wait || strspn(wait, "0123456789") != strlen(wait)) return false;
  uint64_t seconds = strtoull(wait, NULL, 10);
  *ms = (seconds < 86400 ? seconds : 86400) * 1000;
  return true;
}

static pgq_result webhook(const pgq_job *job) {
  pgq_json payload, url, body;
  if (!pgq_json_payload(job, &payload) || !pgq_json_get(payload, "url", &url) || !pgq_json_text(url)) return pgq_reject("the payload has no `url`");
  bool has_body = pgq_json_get(payload, "body", &body);

  /* The same key for every attempt: a receiver that remembers it acts once. */
  pgq_pair headers[] = {{"content-type", "application/json"}, {"idempotency-key", pgq_idempotency_key(job)}};
  /* Kept back from the job's time, so that a slow server ends in a failure that says so rather than in an interrupt. */
  uint64_t left = pgq_time_left_ms(job);
  pgq_http_request request = {.method = "POST", .url = pgq_json_text(url), .headers = headers, .header_count = 2,
                              .timeout_ms = left > 1100 ? left - 1000 : 100};
  if (has_body) {
    request.body = body.start;
    request.body_length = (size_t)(body.end - body.start);
  }
  pgq_http_response answer;
  if (!pgq_http(&request, &answer)) return pgq_retry("%s", answer.error);
  if (answer.status == 408 || answer.status == 429 || answer.status >= 500) {
    uint64_t ms;
    if (retry_after(&answer, &ms)) return pgq_retry_after(ms, "the receiver answered %d", answer.status);
    return pgq_retry("the receiver answered %d", answer.status);
  }
  if (answer.status >= 400) return pgq_reject("the receiver answered %d: %.256s", answer.status, answer.body.data);

  /* Enqueued in the transaction that records this job as done, or not at all. */
  const char *receipt = pgq_format("{\"job\":%" PRId64 ",\"status\":%d}", job->id, answer.status);
  const char *refused = pgq_enqueue(&(pgq_request){.entrypoint = "c-receipt", .payload = receipt, .payload_length = strlen(receipt), .priority = 1});
  if (refused) return pgq_retry("the receipt was not enqueued: %s", refused);
  return pgq_output("{\"status\":%d,\"body\":%s}", answer.status, pgq_json_quote(pgq_format("%.4096s", answer.body.data)));
}
PGQ_ENTRYPOINT(webhook, "c-webhook", .max_attempts = 12, .backoff = {10000, 2, 3600000}, .timeout_ms = 30000, .memory = 64 << 20)

static pgq_result receipt(const pgq_job *job) {
  pgq_json payload, value;
  double delivered, status;
  if (!pgq_json_payload(job, &payload) || !pgq_json_get(payload, "job", &value) || !pgq_json_number(value, &delivered) ||
      !pgq_json_get(payload, "status", &value) || !pgq_json_number(value, &status))
    return pgq_reject("the payload is no receipt");
  pgq_pair fields[] = {{"status", pgq_format("%.0f", status)}};
  pgq_log_fields(PGQ_INFO, pgq_format("job %.0f was delivered", delivered), fields, 1);
  return pgq_done();
}
PGQ_ENTRYPOINT(receipt, "c-receipt")

/* How many primes there are below a number. */
static pgq_result primes(const pgq_job *job) {
  pgq_json payload, value;
  double below;
  if (!pgq_json_payload(job, &payload) || !pgq_json_get(payload, "below", &value) || !pgq_json_number(value, &below))
    return pgq_reject("the payload has no number `below`");
  if (!(below >= 0 && below <= 5e6)) return pgq_reject("%g is not between 0 and 5,000,000", below);
  size_t end = (size_t)below, count = 0;
  char *sieve = pgq_alloc(end + 1);
  memset(sieve, 1, end + 1);
  for (size_t n = 2; n < end; n++) {
    if (!sieve[n]) continue;
    count++;
    for (size_t multiple = n * n; multiple < end; multiple += n) sieve[multiple] = 0;
  }
  return pgq_output("{\"primes\":%zu}", count);
}
PGQ_ENTRYPOINT(primes, "c-primes", .timeout_ms = 60000)

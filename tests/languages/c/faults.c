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

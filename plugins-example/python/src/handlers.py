"""Two handlers: a webhook that is delivered in the end, with a follow-up, and one that computes."""

import logging
from dataclasses import dataclass
from typing import Any

import pgq

pgq.plugin("python-example", version="0.1.0", enqueue=["py-receipt"])


@dataclass
class Webhook:
    url: str
    body: Any = None


@pgq.entrypoint("py-webhook", max_attempts=12, backoff=(10, 2, 3600), timeout=30, memory=64 << 20)
def webhook(job: pgq.Job, hook: Webhook):
    # The same for every attempt: a receiver that remembers it acts once.
    headers = {"idempotency-key": job.idempotency_key}
    # Kept back from the job's time, so that a slow server ends in a failure that says so rather than in an interrupt.
    answer = pgq.http.post(hook.url, json=hook.body, headers=headers, timeout=max(job.time_left - 1, 0.1))
    if answer.status in (408, 429) or answer.status >= 500:
        wait = answer.header("retry-after") or ""
        raise pgq.Retry(f"the receiver answered {answer.status}", after=min(int(wait), 86_400) if wait.isdigit() else None)
    if not answer.ok:
        raise pgq.Reject(f"the receiver answered {answer.status}: {answer.text[:256]}")
    # Enqueued in the transaction that records this job as done, or not at all.
    pgq.enqueue("py-receipt", {"job": job.id, "status": answer.status}, priority=1)
    return {"status": answer.status, "body": answer.text[:4096]}


@dataclass
class Receipt:
    job: int
    status: int


@pgq.entrypoint("py-receipt")
def receipt(job: pgq.Job, receipt: Receipt):
    logging.info("job %d was delivered", receipt.job, extra={"status": receipt.status})


@dataclass
class Range:
    below: int


@pgq.entrypoint("py-primes", timeout=60)
def primes(job: pgq.Job, wanted: Range):
    """How many primes there are below a number."""
    if not 0 <= wanted.below <= 5_000_000:
        raise pgq.Reject(f"{wanted.below} is not between 0 and 5,000,000")
    sieve = bytearray([1]) * wanted.below
    sieve[:2] = bytes(min(2, wanted.below))
    for n in range(2, int(wanted.below**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, wanted.below, n)))
    return {"primes": sum(sieve)}

// Two handlers: a webhook that is delivered in the end, with a follow-up, and one that computes.
import { enqueue, entrypoint, log, plugin, Reject, Retry } from "pgq-plugin";

plugin("js-example", "0.1.0", { enqueue: "js-receipt" });

entrypoint("js-webhook", { maxAttempts: 12, backoff: [10, 2, 3600], timeout: 30, memory: 64 << 20 }, async (job) => {
  const { url, body } = job.json();
  if (typeof url !== "string") throw new Reject("the payload has no `url`");
  const headers = {
    "content-type": "application/json",
    // The same for every attempt: a receiver that remembers it acts once.
    "idempotency-key": job.idempotencyKey,
  };
  // Kept back from the job's time, so that a slow server ends in a failure that says so rather than in an interrupt.
  const timeout = Math.max(job.timeLeft - 1, 0.1);
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), timeout });
  if ([408, 429].includes(answer.status) || answer.status >= 500) {
    const wait = answer.headers.get("retry-after") ?? "";
    throw new Retry(`the receiver answered ${answer.status}`, { after: /^\d+$/.test(wait) ? Math.min(Number(wait), 86_400) : undefined });
  }
  const text = await answer.text();
  if (answer.status >= 400) throw new Reject(`the receiver answered ${answer.status}: ${text.slice(0, 256)}`);
  // Enqueued in the transaction that records this job as done, or not at all.
  enqueue("js-receipt", { job: job.id, status: answer.status }, { priority: 1 });
  return { status: answer.status, body: text.slice(0, 4096) };
});

entrypoint("js-receipt", (job) => {
  const { job: delivered, status } = job.json();
  log.info(`job ${delivered} was delivered`, { status });
});

// How many primes there are below a number.
entrypoint("js-primes", { timeout: 60 }, (job) => {
  const { below } = job.json();
  if (!Number.isInteger(below) || below < 0 || below > 5_000_000) throw new Reject(`${below} is not between 0 and 5,000,000`);
  const sieve = new Uint8Array(below).fill(1);
  let primes = 0;
  for (let n = 2; n < below; n++) {
    if (!sieve[n]) continue;
    primes++;
    for (let multiple = n * n; multiple < below; multiple += n) sieve[multiple] = 0;
  }
  return { primes };
});

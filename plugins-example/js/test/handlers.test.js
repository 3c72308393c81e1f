import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "pgq-plugin/testing";
import "../src/handlers.js";

async function deliver(answer) {
  const sent = [];
  const job = { json: { url: "https://x.example/a", body: { b: 1 } }, headers: { "idempotency-key": "k" } };
  const fetch = async (request) => {
    sent.push([request.method, request.url, request.headers.get("idempotency-key"), await request.text()]);
    return answer;
  };
  return [await run("js-webhook", job, { fetch }), sent];
}

test("a delivery has a follow-up", async () => {
  const [ended, sent] = await deliver(new Response("thanks"));
  assert.deepEqual([ended.how, ended.json()], ["complete", { status: 200, body: "thanks" }]);
  assert.deepEqual(sent, [["POST", "https://x.example/a", "k", '{"b":1}']]);
  assert.deepEqual(
    ended.enqueued.map(({ entrypoint }) => entrypoint),
    ["js-receipt"],
  );
});

test("a receiver in trouble gets another try, and one that refuses none", async () => {
  const [again] = await deliver(new Response("", { status: 503, headers: { "retry-after": "120" } }));
  assert.deepEqual([again.how, again.afterMs, again.enqueued], ["retry", 120_000, []]);
  const [refused] = await deliver(new Response("who?", { status: 404 }));
  assert.deepEqual([refused.how, refused.message], ["reject", "the receiver answered 404: who?"]);
});

test("primes are counted", async () => {
  for (const [below, primes] of [[0, 0], [2, 0], [3, 1], [100, 25], [100_000, 9592]]) {
    assert.deepEqual((await run("js-primes", { json: { below } })).json(), { primes });
  }
  assert.equal((await run("js-primes", { json: { below: -1 } })).how, "reject");
});

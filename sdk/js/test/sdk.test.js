// The SDK without a host: `npm test`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { batch, Discard, enqueue, entrypoint, log, plugin, Reject, Retry, Snooze, sql } from "../src/index.js";
import { fetchOver } from "../src/fetch.js";
import { authored } from "../src/lines.js";
import { declarations } from "../src/plugin.js";
import { run, runBatch } from "../src/testing.js";
import { fromValue, toValue } from "../src/values.js";

plugin("test", "1.0.0", { enqueue: "ship" });
entrypoint("pack", { maxAttempts: 5, timeout: 10 }, async (job) => {
  const order = job.json();
  if (!order.items.length) throw new Reject("nothing to pack");
  log.info(`packing ${order.items.length}`, { order: order.id });
  console.warn("careful", { a: 1 });
  enqueue("ship", { id: order.id }, { priority: 5, delay: 1.5, dedupeKey: "k", headers: { a: 1 } });
  await null;
  if (order.id === 13) order.customer.name;
  return order.items[0];
});
entrypoint("ends", (job) => {
  switch (job.text()) {
    case "snooze":
      return new Snooze(60);
    case "discard":
      throw new Discard("not needed");
    case "retry":
      throw new Retry("busy", { after: 0.0015 });
    case "chain":
      throw new Error("outer", { cause: new TypeError("inner") });
    case "text":
      throw "only text";
    case "function":
      return () => 1;
    case "deep": {
      const deeper = () => deeper() + 1;
      return deeper();
    }
  }
});
entrypoint("checked", (job) => job.json((value) => {
  if (typeof value.name !== "string") throw new TypeError("`name` is missing");
  return value.name;
}));
batch("many", 100, { timeout: 5 }, (jobs) => jobs.map((job) => (job.id % 2 ? new Reject("odd") : job.text())));
entrypoint("accounts", () => {
  const total = sql.query("SELECT sum(balance) FROM account").value();
  try {
    sql.savepoint(() => sql.execute("INSERT INTO account VALUES ($1)", 7));
  } catch (error) {
    return [total, error.sqlstate];
  }
});
entrypoint("fetch", async () => {
  const answer = await fetch("https://x.example/a", { method: "post", body: JSON.stringify({ a: 1 }) });
  return [answer.status, await answer.text()];
});

test("a handler's value is the output, and its follow-ups and lines are recorded", async () => {
  const ended = await run("pack", { json: { id: 1, items: [{ name: "lamp" }] } });
  assert.deepEqual([ended.how, ended.json()], ["complete", { name: "lamp" }]);
  assert.deepEqual(ended.logs, [
    { level: "info", message: "packing 1", fields: { order: "1" } },
    { level: "warn", message: 'careful {"a":1}', fields: {} },
  ]);
  const [{ payload, ...ship }] = ended.enqueued;
  assert.equal(new TextDecoder().decode(payload), '{"id":1}');
  assert.deepEqual(ship, { entrypoint: "ship", priority: 5, delayMs: 1500, dedupeKey: "k", headers: { a: "1" } });
});

test("what a handler throws is a retry with its own stack", async () => {
  const ended = await run("pack", { json: { id: 13, items: [{}] } });
  assert.deepEqual([ended.how, ended.kind, ended.enqueued], ["retry", "TypeError", []]);
  assert.match(ended.traceback, /^TypeError: .*\n\s+at .*sdk\.test\.js/);
  assert.doesNotMatch(ended.traceback, /run\.js/);
  assert.match((await run("ends", { payload: "chain" })).traceback, /^Error: outer[^]*caused by TypeError: inner/);
  assert.equal((await run("ends", { payload: "text" })).message, "the handler threw only text");
  const deep = await run("ends", { payload: "deep" });
  assert.equal(deep.kind, "RangeError");
});

test("each ending is what the handler said", async () => {
  const how = async (payload) => {
    const { how, afterMs, message, kind } = await run("ends", { payload });
    return { how, afterMs, message, kind };
  };
  const nothing = { afterMs: undefined, message: undefined, kind: undefined };
  assert.deepEqual(await how("snooze"), { ...nothing, how: "snooze", afterMs: 60000 });
  assert.deepEqual(await how("discard"), { ...nothing, how: "discard", message: "not needed" });
  assert.deepEqual(await how("retry"), { how: "retry", afterMs: 2, message: "busy", kind: "Retry" });
  assert.deepEqual(await how(""), { ...nothing, how: "complete" });
  assert.equal((await how("function")).how, "reject");
  assert.equal((await run("nobody")).how, "reject");
});

test("a mistake in a payload is final", async () => {
  assert.equal((await run("pack", {})).message, "the job has no payload");
  assert.match((await run("pack", { payload: "{" })).message, /^the payload is not JSON: /);
  assert.match((await run("ends", { payload: new Uint8Array([255]) })).message, /not UTF-8/);
  assert.equal((await run("checked", { json: {} })).message, "the payload is not the JSON expected: `name` is missing");
  assert.equal((await run("checked", { json: { name: "Ada" } })).text(), "Ada");
});

test("a batch has a result for each job", async () => {
  const [odd, even] = await runBatch("many", [{ payload: "a" }, { payload: "b" }]);
  assert.deepEqual([odd.how, odd.message, even.how, even.text()], ["reject", "odd", "complete", "b"]);
  assert.equal((await run("many", { id: 2, payload: "c" })).text(), "c");
});

test("the database and fetch are answered by the test", async () => {
  const said = [];
  const ended = await run("accounts", {}, {
    sql(statement) {
      said.push(statement.split(" ")[0]);
      if (statement.startsWith("INSERT")) throw new sql.SqlError("duplicate key", { sqlstate: "23505" });
      return [{ sum: 12 }];
    },
  });
  assert.deepEqual(ended.json(), [12, "23505"]);
  assert.deepEqual(said, ["SELECT", "SAVEPOINT", "INSERT", "ROLLBACK"]);
  const fetched = await run("fetch", {}, { fetch: async (request) => new Response(`${request.method} ${await request.text()}`, { status: 201 }) });
  assert.deepEqual(fetched.json(), [201, 'POST {"a":1}']);
  assert.match((await run("fetch")).message, /no `fetch`/);
});

test("the component's fetch hands over what it was given", async () => {
  const sent = [];
  const fetch = fetchOver((request) => {
    sent.push(request);
    return { status: request.url.endsWith("/none") ? 204 : 200, headers: [["a", "b"]], pieces: [new Uint8Array([111]), new Uint8Array([107])] };
  });
  const answer = await fetch(new URL("http://x.example/"), { method: "post", headers: { b: 1 }, body: "ä", timeout: 2 });
  assert.deepEqual([answer.status, answer.headers.get("a"), await answer.text()], [200, "b", "ok"]);
  const { body, ...rest } = sent[0];
  assert.deepEqual(rest, { method: "POST", url: "http://x.example/", headers: [["b", "1"], ["content-type", "text/plain;charset=UTF-8"]], timeoutMs: 2000 });
  assert.equal(body.length, 2);
  assert.equal((await fetch("http://x.example/none")).status, 204);
  await fetch(new Request("http://x.example/", { method: "PUT", body: "abc" }));
  assert.deepEqual([sent[2].method, sent[2].body.length], ["PUT", 3]);
});

test("values come back as they went", () => {
  for (const value of [null, true, 1, 1.5, 2n ** 60n, "ä", new Uint8Array([0]), new Date(5), [1, null], { a: [1] }]) {
    assert.deepEqual(fromValue(toValue(value)), value);
  }
  const one = (tag, val) => fromValue({ tag: "one", val: { tag, val } });
  assert.deepEqual(toValue(2n ** 70n).val, { tag: "numeric", val: String(2n ** 70n) });
  assert.equal(one("timestamp", -1n), "1969-12-31T23:59:59.999999");
  assert.equal(one("date", 365), "1971-01-01");
  assert.equal(one("date", 2147483647), "infinity");
  assert.equal(one("time", 3_600_000_001n), "01:00:00.000001");
});

test("what is not set is left to the host except for reuse, and mistakes are told", () => {
  const entrypoints = declarations().flatMap((text) => JSON.parse(text).entrypoints ?? []);
  assert.deepEqual(entrypoints[0], { name: "pack", reuse: 1000, "max-attempts": 5, "timeout-ms": 10000 });
  assert.deepEqual(entrypoints.find(({ name }) => name === "many"), { name: "many", reuse: 1000, "timeout-ms": 5000, batch: 100 });
  assert.deepEqual(JSON.parse(declarations()[0]), { name: "test", version: "1.0.0", needs: { enqueue: ["ship"] } });
  assert.throws(() => entrypoint("pack", () => 1), /two handlers/);
  assert.throws(() => entrypoint("x", { tiemout: 1 }, () => 1), /"tiemout" is no option/);
  assert.throws(() => entrypoint("x", { timeout: -1 }, () => 1), /no time/);
});

test("a stack names the lines that the author wrote", () => {
  globalThis.pgqSourceMap = { sources: ["src/a.ts", "src/b.ts"], mappings: "AAAA;AACA,IAAE;ACDF" };
  assert.equal(authored("f@bundle.js:2:6"), "f@src/a.ts:2:3");
  assert.equal(authored("async*g@bundle.js:3:1"), "async*g@src/b.ts:1:1");
  assert.equal(authored("h@bundle.js:9:1"), "h@bundle.js:9:1");
  delete globalThis.pgqSourceMap;
});

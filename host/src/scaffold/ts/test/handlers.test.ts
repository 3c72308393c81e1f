// Handlers run here without a host, a database or a component.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { run } from "pgq-plugin/testing";
import "../src/handlers.js";

test("the sample payload is greeted", async () => {
  const ended = await run("{{name}}", { payload: await readFile("payload.json") });
  assert.deepEqual([ended.how, ended.text()], ["complete", "Hello, Ada!"]);
  assert.equal(ended.logs[0].message, "greeting Ada");
});

test("a payload that names nobody fails for good", async () => {
  assert.equal((await run("{{name}}", { json: { name: "" } })).how, "reject");
  assert.equal((await run("{{name}}", { json: {} })).message, "the payload is not the JSON expected: `name` is missing");
});

#!/usr/bin/env node
// pgq-plugin-componentize BUNDLE OUT [WIT]: the component of a bundle, by componentize-js (StarlingMonkey).
//
// componentize-js fits its engine to the interface, runs the bundle in it by wizer, which stores its memory, and makes a component
// of that. All but the memory is the same for every bundle, and takes nearly all of the time. So the first build keeps the fitted engine
// and the component in node_modules/.cache; later ones run wizer, and put the new memory in the place of the old one. If anything else
// differs, the whole of it is done again. The memory is never the same twice, even of one bundle (there are addresses and random numbers in
// it), so the last bundle's component is kept as well.
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { section, sections } from "./sections.js";

const WORLD = "batch-plugin";
const DISABLED = ["http", "fetch-event"];
/** What wizer changes of a module: memory, globals and data. */
const STATE = [5, 6, 11];
const CUSTOM = 0;

const [bundle, out, wit = "wit"] = process.argv.slice(2);
if (!bundle || !out) {
  console.error("usage: pgq-plugin-componentize BUNDLE OUT [WIT]");
  process.exit(2);
}
const source = await readFile(bundle, "utf8");
const sourceName = path.basename(bundle);
const folder = path.join("node_modules/.cache/pgq-plugin", await key());
const built = path.join(folder, `built-${createHash("sha256").update(source).digest("hex")}.wasm`);
const last = await readFile(built).catch(() => undefined);
let component = last ?? (await again().catch(() => undefined));
if (!component) {
  const work = await mkdtemp(path.join(tmpdir(), "pgq-plugin-"));
  try {
    component = await whole(work);
    await keep(work, component).catch((error) => console.error(`the next build takes as long: ${error.message}`));
  } catch (error) {
    console.error(error.message ?? error);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  if (!component) process.exit(1);
}
if (!last) await keepLast().catch(() => {});
await mkdir(path.dirname(out), { recursive: true });
await writeFile(out, component);

/** Only the last: they are large. */
async function keepLast() {
  const draft = `${built}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, component);
  for (const old of await readdir(folder)) if (old.startsWith("built-") && old !== path.basename(draft)) await rm(path.join(folder, old));
  await rename(draft, built);
}

/** Of everything that the engine is made of. */
async function key() {
  const hash = createHash("sha256");
  const add = (text) => hash.update(`${text.length} `).update(text);
  for (const name of ["componentize-js", "jco", "wizer"]) add(await readFile(`node_modules/@bytecodealliance/${name}/package.json`, "utf8"));
  for (const file of (await readdir(wit, { recursive: true })).sort()) {
    if (file.endsWith(".wit")) add(file), add(await readFile(path.join(wit, file), "utf8"));
  }
  for (const text of [await readFile(new URL(import.meta.url), "utf8"), sourceName, process.version, process.arch]) add(text);
  return hash.digest("hex").slice(0, 32);
}

/** All of it, with wizer's input and output kept in this folder. */
async function whole(work) {
  const { componentize } = await import(path.resolve("node_modules/@bytecodealliance/componentize-js/src/componentize.js"));
  const { default: wizer } = await import(path.resolve("node_modules/@bytecodealliance/wizer/index.js"));
  // In wizer's place: it notes how it was called.
  const wizerBin = path.join(work, "wizer.cjs");
  const script = `#!${process.execPath}
    const { copyFileSync, readFileSync, writeFileSync } = require("node:fs");
    const args = process.argv.slice(2);
    const input = readFileSync(0, "utf8");
    const said = require("node:child_process").spawnSync(${JSON.stringify(wizer)}, args, { input, env: process.env, stdio: [null, "inherit", "inherit"] });
    if (said.status === 0) {
      writeFileSync(${JSON.stringify(path.join(work, "call.json"))}, JSON.stringify({ args, input, env: process.env }));
      copyFileSync(args.at(-1), ${JSON.stringify(path.join(work, "in.wasm"))});
      copyFileSync(args.find((arg) => arg.startsWith("-o=")).slice(3), ${JSON.stringify(path.join(work, "out.wasm"))});
      copyFileSync(input.match(/--initializer-script-path (\\S+)/)[1], ${JSON.stringify(path.join(work, "initializer.js"))});
    }
    process.exit(said.status ?? 1);
  `;
  await writeFile(wizerBin, script, { mode: 0o755 });
  const options = { sourceName, witPath: path.resolve(wit), worldName: WORLD, disableFeatures: DISABLED, wizerBin };
  return Buffer.from((await componentize(source, options)).component);
}

/** The component's own module: the largest. */
function mainModule(component) {
  const modules = sections(component).filter(({ id }) => id === 1);
  return modules.reduce((one, other) => (other.end - other.start > one.end - one.start ? other : one));
}

function contents(module, ids) {
  return sections(module).filter(({ id }) => ids.includes(id)).map(({ id, start, end }) => [id, module.subarray(start, end)]);
}

/** What has to be the same for the kept component to be of use. */
function shape(module) {
  const hash = createHash("sha256");
  for (const { id, start, end } of sections(module)) {
    if (id === CUSTOM) continue;
    hash.update(`${id} `);
    if (!STATE.includes(id)) hash.update(module.subarray(start, end));
  }
  return hash.digest("hex");
}

async function keep(work, component) {
  const [call, engine, initializer, made] = await Promise.all(["call.json", "in.wasm", "initializer.js", "out.wasm"].map((name) => readFile(path.join(work, name))));
  const { start, end } = mainModule(component);
  // What came after wizer has to have left the memory as it was.
  const [before, after] = [made, component.subarray(start, end)].map((module) => contents(module, STATE));
  if (before.length !== after.length || before.some(([, content], n) => !content.equals(after[n][1]))) throw new Error("the engine's memory is not where it was");
  const draft = `${folder}.${randomBytes(6).toString("hex")}`;
  await mkdir(draft, { recursive: true });
  const about = JSON.stringify({ ...JSON.parse(call), shape: shape(made) });
  const files = { "about.json": about, "in.wasm": engine, "initializer.js": initializer, "component.wasm": component };
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(draft, name), content);
  // Whole or not at all; of another interface, there is no more use.
  for (const old of await readdir(path.dirname(folder))) if (old !== path.basename(draft)) await rm(path.join(path.dirname(folder), old), { recursive: true, force: true });
  await rename(draft, folder);
}

/** The kept component with the memory of this bundle. Throws if it is not that easy. */
async function again() {
  const [about, component, initializer] = await Promise.all(["about.json", "component.wasm", "initializer.js"].map((name) => readFile(path.join(folder, name))));
  const { args, input, env, shape: wanted } = JSON.parse(about);
  const { default: wizer } = await import(path.resolve("node_modules/@bytecodealliance/wizer/index.js"));
  const sources = path.dirname(input.match(/--initializer-script-path (\S+)/)[1]);
  const work = await mkdtemp(path.join(tmpdir(), "pgq-plugin-"));
  try {
    const [here, made] = [path.join(work, "sources"), path.join(work, "out.wasm")];
    await mkdir(here);
    await writeFile(path.join(here, "initializer.js"), initializer);
    await writeFile(path.join(here, sourceName), source);
    const moved = args.slice(0, -1).map((arg) => (arg.startsWith("-o=") ? `-o=${made}` : arg.replaceAll(sources, here)));
    const said = spawnSync(wizer, [...moved, path.join(folder, "in.wasm")], { input: input.replaceAll(sources, here), env, encoding: "utf8" });
    if (said.status !== 0) throw new Error(said.stderr);
    const module = await readFile(made);
    if (shape(module) !== wanted) throw new Error("more than the memory differs");
    await check(module);
    return patched(component, new Map(contents(module, STATE)));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function patched(component, state) {
  const { head, start, end } = mainModule(component);
  const module = component.subarray(start, end);
  const parts = [module.subarray(0, 8)];
  for (const { id, head, start, end } of sections(module)) parts.push(state.has(id) ? section(id, state.get(id)) : module.subarray(head, end));
  return Buffer.concat([component.subarray(0, head), section(1, Buffer.concat(parts)), component.subarray(end)]);
}

/** What componentize-js asks of the engine: whether it found all exports in the bundle. */
async function check(module) {
  setFlagsFromString("--wasm-lazy-compilation");
  const compiled = await WebAssembly.compile(module);
  const imports = {};
  for (const { module, name } of WebAssembly.Module.imports(compiled)) (imports[module] ??= {})[name] = () => 0;
  const { exports } = await WebAssembly.instantiate(compiled, imports);
  if (exports.check_init() !== 0) throw new Error("the bundle lacks an export");
}

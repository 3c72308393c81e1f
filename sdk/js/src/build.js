#!/usr/bin/env node
// pgq-plugin-build ENTRY OUT [--node]: the entry and all that it imports as one file, which says at its end where its lines came
// from. So a stack names the lines that their author wrote. With --node it is for tests under Node, else for a component, where only
// the host's functions can be imported.
import { mkdir, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import path from "node:path";
import { rolldown } from "rolldown";

const [entry, out, ...options] = process.argv.slice(2);
if (!entry || !out || options.some((option) => option !== "--node")) {
  console.error("usage: pgq-plugin-build ENTRY OUT [--node]");
  process.exit(2);
}
const forNode = options.length > 0;
const importers = new Map();
/** Only notes who imports what is not there. Much of it is in parts of packages that nobody uses. */
function resolveId(name, importer) {
  if (!importer || !isBuiltin(name)) return null;
  importers.set(name, path.relative("", importer));
  return { id: name, external: true };
}
try {
  const bundle = await rolldown({
    input: entry,
    // The functions of the host, and those of Node in tests.
    external: forNode ? /^(pgq|wasi|node):/ : /^(pgq|wasi):/,
    platform: "neutral",
    plugins: forNode ? [] : [{ name: "imports-of-node", resolveId }],
    // Packages that are made for several platforms have a part for browsers that needs none of Node's modules.
    resolve: {
      conditionNames: [forNode ? "node" : "browser", "import", "module", "default"],
      mainFields: forNode ? ["module", "main"] : ["browser", "module", "main"],
      extensionAlias: { ".js": [".ts", ".js"] },
    },
  });
  const { output } = await bundle.generate({ format: "esm", sourcemap: true, file: out });
  const [{ code, map, imports }] = output;
  const missing = forNode ? [] : imports.filter((name) => !/^(pgq|wasi):/.test(name));
  const told = (name) => (importers.has(name) ? `a module of Node (imported by ${importers.get(name)})` : "not installed");
  if (missing.length) throw new Error(missing.map((name) => `plugins do not have ${name}: it is ${told(name)}`).join("\n"));
  const sources = map.sources.map((source) => path.relative("", path.resolve(path.dirname(out), source)));
  await mkdir(path.dirname(out), { recursive: true });
  const where = JSON.stringify({ sources, mappings: map.mappings });
  await writeFile(out, `${code.replace(/^\/\/# sourceMappingURL=.*$/m, "")}\nglobalThis.pgqSourceMap = ${where};\n`);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}

#!/usr/bin/env node
// pgq-plugin-build ENTRY OUT [--node]: the entry and all that it imports as one file, which says at its end where its lines came
// from. So a stack names the lines that their author wrote.
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { rolldown } from "rolldown";

const [entry, out, ...options] = process.argv.slice(2);
if (!entry || !out || options.some((option) => option !== "--node")) {
  console.error("usage: pgq-plugin-build ENTRY OUT [--node]");
  process.exit(2);
}
const bundle = await rolldown({
  input: entry,
  // The functions of the host, and those of Node in tests.
  external: /^(pgq|wasi|node):/,
  platform: "neutral",
  // Packages that are made for several platforms have a part for browsers that needs none of Node's modules.
  resolve: {
    conditionNames: [options.length ? "node" : "browser", "import", "module", "default"],
    mainFields: options.length ? ["module", "main"] : ["browser", "module", "main"],
    extensionAlias: { ".js": [".ts", ".js"] },
  },
});
const { output } = await bundle.generate({ format: "esm", sourcemap: true, file: out });
const [{ code, map }] = output;
const sources = map.sources.map((source) => path.relative("", path.resolve(path.dirname(out), source)));
await mkdir(path.dirname(out), { recursive: true });
const where = JSON.stringify({ sources, mappings: map.mappings });
await writeFile(out, `${code.replace(/^\/\/# sourceMappingURL=.*$/m, "")}\nglobalThis.pgqSourceMap = ${where};\n`);

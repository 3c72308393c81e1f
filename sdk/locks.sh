#!/bin/sh
# Makes the lock files of new plugins in JavaScript and TypeScript, and of the example, again: after a change of a version in one of
# their package.json. Needs npm and a registry. Where a package comes from is left out, so that `npm ci` takes any mirror; its
# digest says what it is.
set -eu
cd "$(dirname "$0")/.."
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# lock FOLDER SDK: the SDK as the folder's package.json names it.
lock() {
  mkdir -p "$made/$1/$2"
  sed 's/{{name}}/plugin-name/' "$1/package.json" >"$made/$1/package.json"
  cp -r sdk/js/package.json sdk/js/src "$made/$1/$2/"
  (cd "$made/$1" && npm install --package-lock-only --install-links --omit-lockfile-registry-resolved --no-audit --no-fund --silent)
  # A line for each package.
  node -e '
    const lock = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8").replaceAll("plugin-name", "{{name}}"));
    const { packages, ...rest } = lock;
    const lines = Object.entries(packages).map(([name, one]) => `    ${JSON.stringify(name)}: ${JSON.stringify(one)}`);
    const head = Object.entries(rest).map(([name, one]) => `  ${JSON.stringify(name)}: ${JSON.stringify(one)},\n`).join("");
    process.stdout.write(`{\n${head}  "packages": {\n${lines.join(",\n")}\n  }\n}\n`);
  ' "$made/$1/package-lock.json" >"$1/package-lock.json"
}

lock host/src/scaffold/js vendor/pgq-plugin
lock host/src/scaffold/ts vendor/pgq-plugin
lock plugins-example/js ../../sdk/js

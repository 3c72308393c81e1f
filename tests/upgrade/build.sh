#!/bin/sh
# Builds the host and the plugin `chaos` of an earlier revision into a folder: what the test of upgrades (tests/it/upgrade.rs)
# takes for the release before.
#
#   tests/upgrade/build.sh REVISION FOLDER [TARGET_DIR]
#
# What is in the folder already is kept if it is of that revision. The sources are a worktree of their own, so nothing here
# changes; dependencies that are the same as today's are not built again.
set -eu
revision=$1
mkdir -p "$2" "${3:-target}"
folder=$(cd "$2" && pwd) target=$(cd "${3:-target}" && pwd)
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --verify --quiet "$revision^{commit}") || {
  echo "$revision is no revision of this repository: fetch the tags ('git fetch --tags'), or name another one" >&2
  exit 1
}
if [ "$(cat "$folder/revision" 2>/dev/null)" = "$commit" ]; then exit 0; fi
rm -f "$folder/revision"
source=$target/upgrade-source
git worktree remove --force "$source" 2>/dev/null || rm -rf "$source"
git worktree prune
git worktree add --quiet --detach "$source" "$commit"
trap 'git worktree remove --force "$source"' EXIT
# The binary of today has the same name, and returns with its next build.
(cd "$source" && ${CARGO:-cargo} build --locked --workspace --bin pgq-host --target-dir "$target")
cp "$target/debug/pgq-host" "$folder/pgq-host"
rm -f "$target/debug/pgq-host"
# Where the package's own build puts its guests, they are built for a test; here one of them is wanted.
(cd "$source/tests/guests" && ${CARGO:-cargo} build --locked --release --target wasm32-wasip2 --target-dir "$target/upgrade-guests" -p chaos)
cp "$target/upgrade-guests/wasm32-wasip2/release/chaos.wasm" "$folder/chaos.wasm"
echo "$commit" >"$folder/revision"

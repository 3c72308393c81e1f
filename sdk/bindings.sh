#!/bin/sh
# Makes the bindings of sdk/c and sdk/go from wit/ again. Needs wit-bindgen: `cargo install wit-bindgen-cli --version 0.63.0`.
set -eu
cd "$(dirname "$0")"
# Of the world with batches, under the names of the other: each is in both.
wit-bindgen c ../wit -w batch-plugin --rename-world plugin --out-dir c/bindings

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
wit-bindgen go ../wit -w batch-plugin --out-dir "$made"
# Its runtime, from the sources of the crate.
pkg=$(dirname "$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -path '*/wit-bindgen-go-0.63.0/src/pkg/wit' | head -n 1)")
ours=github.com/pgq-host/pgq-host/sdk/go/internal
rm -rf go/internal
for package in types runtime async; do
  mkdir -p "go/internal/wit/$package"
  for file in "$pkg/wit/$package"/*.go; do
    sed "s#go.bytecodealliance.org/pkg/wit/#$ours/wit/#" "$file" >"go/internal/wit/$package/$(basename "$file" .go)_wasip1.go"
  done
  for file in "$pkg/wit/$package"/*.s; do
    [ ! -e "$file" ] || cp "$file" "go/internal/wit/$package/$(basename "$file" .s)_wasip1.s"
  done
done
for package in "$made"/pgq_plugin_*; do
  name=$(basename "$package" | sed 's/pgq_plugin_//')
  case $name in describe | handler | batch_handler) continue ;; esac
  mkdir -p "go/internal/$name"
  sed "s#go.bytecodealliance.org/pkg/wit/#$ours/wit/#; s#wit_component/pgq_plugin_#$ours/#" "$package/wit_bindings.go" >"go/internal/$name/bindings_wasip1.go"
  cp "$package/empty.s" "go/internal/$name/empty_wasip1.s"
done
# The exports call `register`, `handle` and `handleBatch` of the package that they are in.
sed "s#go.bytecodealliance.org/pkg/wit/#$ours/wit/#; s#wit_component/pgq_plugin_#$ours/#; /wit_component\/export_/d
  s/^package main/package pgq/; s/export_pgq_plugin_describe.Register/register/; s/export_pgq_plugin_handler.Handle/handle/
  s/export_pgq_plugin_batch_handler.HandleBatch/handleBatch/
  /^\/\/ Unused, but present/d; /^func main/d" "$made/wit_exports.go" >go/exports_wasip1.go
if command -v gofmt >/dev/null; then gofmt -w go; fi

//! The handler that is measured by default: it reads its payload and returns. It is generated as
//! text and compiled like any plugin.

use anyhow::Context as _;

/// All names have this form, and therefore the same length.
const WIDTH: usize = "bench_0000".len();
/// As many as the form can number.
pub const MAX_ENTRYPOINTS: u64 = 10_000;
/// Where the names are in memory. Below are the plugin's own name and the results, all zero:
/// `ok(complete(none))` and `ok`.
const NAMES: usize = 1024;
const PAGE: usize = 64 << 10;

/// The name of the entrypoint with this number.
pub fn entrypoint(number: u64) -> String {
    format!("bench_{number:04}")
}

/// The component that serves this many entrypoints, and whose instances run up to `reuse` jobs.
///
/// # Errors
///
/// Fails if the generated text is invalid, which would be a bug.
pub fn component(entrypoints: u64, reuse: u32) -> anyhow::Result<Vec<u8>> {
    wat::parse_str(text(entrypoints, reuse)).context("the bench's own plugin is not valid; this is a bug in pgq-host")
}

/// The same as text.
pub fn text(entrypoints: u64, reuse: u32) -> String {
    let names: String = (0..entrypoints).map(entrypoint).collect();
    let heap = NAMES + names.len().next_multiple_of(16);
    TEXT.replace("{pages}", &(heap / PAGE + 1).to_string())
        .replace("{heap}", &heap.to_string())
        .replace("{names}", &names)
        .replace("{at}", &NAMES.to_string())
        .replace("{end}", &(NAMES + names.len()).to_string())
        .replace("{width}", &WIDTH.to_string())
        .replace("{reuse}", &reuse.to_string())
}

/// Each call puts its payload after the names.
const TEXT: &str = r#"
(component
  (import "pgq:plugin/jobs@0.1.0" (instance $jobs
    (export "job" (type $job (sub resource)))
    (type $outcome (variant (case "complete" (option (list u8))) (case "snooze" u64) (case "discard" string)))
    (export "outcome" (type (eq $outcome)))
    (type $retry (record (field "message" string) (field "after" (option u64))))
    (export "retry-info" (type $retry-info (eq $retry)))
    (type $failure (variant (case "retry" $retry-info) (case "reject" string)))
    (export "failure" (type (eq $failure)))
    (export "[method]job.payload" (func (param "self" (borrow $job)) (result (option (list u8)))))))
  (import "pgq:plugin/registry@0.1.0" (instance $registry
    (export "registrar" (type $registrar (sub resource)))
    (export "entrypoint" (type $entrypoint (sub resource)))
    (export "[method]registrar.plugin" (func (param "self" (borrow $registrar)) (param "name" string) (param "version" string)))
    (export "[method]registrar.entrypoint" (func (param "self" (borrow $registrar)) (param "name" string) (result (own $entrypoint))))
    (export "[method]entrypoint.reuse" (func (param "self" (borrow $entrypoint)) (param "max-jobs" u32)))))
  (alias export $jobs "job" (type $job))
  (alias export $jobs "outcome" (type $outcome))
  (alias export $jobs "failure" (type $failure))
  (alias export $registry "registrar" (type $registrar))
  (alias export $registry "entrypoint" (type $entrypoint))

  (core module $heap
    (memory (export "memory") {pages})
    (global $next (mut i32) (i32.const {heap}))
    (func (export "reset") (global.set $next (i32.const {heap})))
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32) (local $lacking i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.set $lacking (i32.sub (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.gt_s (local.get $lacking) (i32.const 0)) (then
        (if (i32.eq (memory.grow (i32.div_u (i32.add (local.get $lacking) (i32.const 65535)) (i32.const 65536))) (i32.const -1))
          (then unreachable))))
      (local.get $at)))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))

  (core func $payload (canon lower (func $jobs "[method]job.payload") (memory $memory) (realloc $realloc)))
  (core func $plugin (canon lower (func $registry "[method]registrar.plugin") (memory $memory)))
  (core func $add (canon lower (func $registry "[method]registrar.entrypoint") (memory $memory)))
  (core func $reuse (canon lower (func $registry "[method]entrypoint.reuse")))
  (core func $drop_job (canon resource.drop $job))
  (core func $drop_registrar (canon resource.drop $registrar))
  (core func $drop_entrypoint (canon resource.drop $entrypoint))

  (core module $main
    (import "heap" "memory" (memory 1))
    (import "heap" "reset" (func $reset))
    (import "host" "payload" (func $payload (param i32 i32)))
    (import "host" "plugin" (func $plugin (param i32 i32 i32 i32 i32)))
    (import "host" "add" (func $add (param i32 i32 i32) (result i32)))
    (import "host" "reuse" (func $reuse (param i32 i32)))
    (import "host" "drop_job" (func $drop_job (param i32)))
    (import "host" "drop_registrar" (func $drop_registrar (param i32)))
    (import "host" "drop_entrypoint" (func $drop_entrypoint (param i32)))
    (data (i32.const 0) "bench1.0.0")
    (data (i32.const {at}) "{names}")
    (func (export "register") (param $registrar i32) (result i32)
      (local $name i32) (local $entrypoint i32)
      (call $plugin (local.get $registrar) (i32.const 0) (i32.const 5) (i32.const 5) (i32.const 5))
      (local.set $name (i32.const {at}))
      (loop $next
        (local.set $entrypoint (call $add (local.get $registrar) (local.get $name) (i32.const {width})))
        (call $reuse (local.get $entrypoint) (i32.const {reuse}))
        (call $drop_entrypoint (local.get $entrypoint))
        (local.set $name (i32.add (local.get $name) (i32.const {width})))
        (br_if $next (i32.lt_u (local.get $name) (i32.const {end}))))
      (call $drop_registrar (local.get $registrar))
      (i32.const 64))
    (func (export "handle") (param $job i32) (result i32)
      (call $reset)
      (call $payload (local.get $job) (i32.const 32))
      (call $drop_job (local.get $job))
      (i32.const 64)))
  (core instance $main (instantiate $main
    (with "heap" (instance $heap))
    (with "host" (instance
      (export "payload" (func $payload))
      (export "plugin" (func $plugin))
      (export "add" (func $add))
      (export "reuse" (func $reuse))
      (export "drop_job" (func $drop_job))
      (export "drop_registrar" (func $drop_registrar))
      (export "drop_entrypoint" (func $drop_entrypoint))))))

  (func $register (param "registrar" (borrow $registrar)) (result (result (error string)))
    (canon lift (core func $main "register") (memory $memory) (realloc $realloc)))
  (func $handle (param "job" (borrow $job)) (result (result $outcome (error $failure)))
    (canon lift (core func $main "handle") (memory $memory) (realloc $realloc)))
  (instance $describe (export "register" (func $register)))
  (instance $handler (export "handle" (func $handle)))
  (export "pgq:plugin/describe@0.1.0" (instance $describe))
  (export "pgq:plugin/handler@0.1.0" (instance $handler)))
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_a_component_whatever_the_number_of_entrypoints() {
        for entrypoints in [1, 1_000, MAX_ENTRYPOINTS] {
            let bytes = component(entrypoints, 1).expect("valid");
            assert_eq!(bytes[..4], *b"\0asm");
        }
    }

    #[test]
    fn all_names_have_one_length() {
        assert_eq!(entrypoint(0).len(), WIDTH);
        assert_eq!(entrypoint(MAX_ENTRYPOINTS - 1).len(), WIDTH);
    }
}

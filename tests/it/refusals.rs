//! Files of tool chains that are set up in another way than a host needs: each is refused with what it
//! is, and what to do. And what looks unusual, but is a plugin.

use std::sync::Arc;

use pgq_engine::{self as wasm, CodeCache, Engine, LoadError, Loaded};
use pgq_job::Verdict;

use crate::quick_code::{engine, run};

async fn load(engine: &Engine, text: &str) -> Result<Loaded, LoadError> {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    wasm::load(engine, &CodeCache::disabled(), "file", &bytes, 0, &[], |_| Default::default()).await
}

async fn refused(text: &str, said: &[&str]) {
    let error = load(&engine(), text).await.expect_err("refused");
    assert!(error.is_in_file(), "{error:?}");
    let error = error.to_string();
    for said in said {
        assert!(error.contains(said), "{said:?} is missing in: {error}");
    }
    assert!(!error.contains("damaged"), "{error}");
}

/// A component that exports what a plugin does, and has this in front.
fn with(front: &str) -> String {
    format!(
        r#"(component {front} (instance $i)
            (export "pgq:plugin/describe@0.1.0" (instance $i)) (export "pgq:plugin/handler@0.1.0" (instance $i)))"#
    )
}

#[tokio::test]
async fn async_functions_and_wasi_0_3() {
    let lifted = r#"(core module $m (func (export "f") (result i32) i32.const 0)
            (func (export "c") (param i32 i32 i32) (result i32) i32.const 0))
        (core instance $m (instantiate $m))
        (func $f async (canon lift (core func $m "f") async (callback (core func $m "c"))))"#;
    for front in [lifted, "(core func $c (canon task.cancel))"] {
        refused(&with(front), &["async functions", "build it for WASI 0.2"]).await;
    }
    let clock = r#"(import "wasi:clocks/monotonic-clock@0.3.0" (instance (export "now" (func (result u64)))))"#;
    refused(&with(clock), &["wasi:clocks/monotonic-clock@0.3.0", "(for its now)", "build it for WASI 0.2"]).await;
}

#[tokio::test]
async fn parts_of_webassembly_that_are_disabled() {
    for (module, feature, remedy) in [
        ("(tag $e (param i32)) (func (throw $e (i32.const 1)))", "exceptions", "without them"),
        ("(type (struct (field i32))) (func (result anyref) ref.null any)", "garbage collection", "Kotlin"),
        ("(memory i64 1)", "64-bit memory", "32-bit target"),
        ("(memory 1 2 shared)", "threads and shared memory", "without threads"),
    ] {
        refused(&with(&format!("(core module {module})")), &[feature, remedy]).await;
    }
}

#[tokio::test]
async fn more_parts_than_a_plugin_may_have() {
    for (declarations, said) in [("(memory 1)".repeat(3), "memories"), ("(table 1 funcref)".repeat(9), "tables")] {
        let module = format!("(core module $m {declarations}) (core instance (instantiate $m))");
        refused(&with(&module), &["more parts than a plugin may have", said]).await;
    }
}

#[tokio::test]
async fn another_world_than_that_of_plugins() {
    let command = r#"(component (instance $i) (export "wasi:cli/run@0.2.6" (instance $i)))"#;
    refused(command, &["it is a command", "wasi:cli/run@0.2.6", "cdylib", "reactor", "c-shared"]).await;
    let flat = r#"(component (core module $m (func (export "h"))) (core instance $i (instantiate $m))
        (func $h (canon lift (core func $i "h"))) (export "handle" (func $h)))"#;
    refused(flat, &["does not export pgq:plugin/describe", "the world `plugin`"]).await;
    refused(&with(r#"(import "handle" (func))"#), &["it imports \"handle\"", "the world `plugin`"]).await;
}

#[tokio::test]
async fn a_contract_that_is_newer_than_the_host() {
    let later = r#"(import "pgq:plugin/jobs@0.1.0" (instance (export "later" (func))))"#;
    refused(&with(later), &["pgq:plugin/jobs@0.1.0", "(for its later)", "update the host"]).await;
}

#[tokio::test]
async fn a_handle_that_was_lent_and_not_dropped() {
    let text = pgq_bench::plugin::text(1, 1);
    let keeps = |drop: &str| {
        assert!(text.contains(drop));
        text.replace(drop, "")
    };
    let registrar = keeps("(call $drop_registrar (local.get $registrar))");
    refused(&registrar, &["without dropping the handle", "registrar_drop_borrow", "defer job.Drop()"]).await;
    let engine = engine();
    let plugin = Arc::new(load(&engine, &keeps("(call $drop_job (local.get $job))")).await.unwrap());
    let report = run(&engine, &plugin, "x").await;
    let [Verdict::Retry { fault, .. }] = &report.verdicts[..] else { panic!("{report:?}") };
    assert!(fault.message.contains("job_drop_borrow(job)") && report.crashed, "{fault:?}");
}

/// Each part has a memory of its own. What passes from one to the other is copied by the engine's own
/// code, which has both.
#[tokio::test]
async fn a_component_that_was_composed_of_two_is_a_plugin() {
    let mut plugin = pgq_bench::plugin::text(1, 1);
    let imports = plugin[plugin.find("(import").unwrap()..plugin.find("(alias export $jobs").unwrap()].to_owned();
    for (before, after) in [
        ("(component", r#"(component $plugin (import "sum" (func $sum (param "bytes" (list u8)) (result u32)))"#),
        (
            "(core module $main",
            r#"(core func $sum (canon lower (func $sum) (memory $memory)))
               (core module $main (import "host" "sum" (func $sum (param i32 i32) (result i32)))"#,
        ),
        (r#"(export "payload" (func $payload))"#, r#"(export "payload" (func $payload)) (export "sum" (func $sum))"#),
        (
            "(call $drop_job (local.get $job))",
            "(call $drop_job (local.get $job))
             (if (i32.ne (call $sum (i32.load (i32.const 36)) (i32.load (i32.const 40))) (i32.const 294))
               (then unreachable))",
        ),
    ] {
        assert!(plugin.contains(before));
        plugin = plugin.replacen(before, after, 1);
    }
    let composed = format!(
        r#"(component
          {imports}
          (component $adder
            (core module $m
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16))
              (func (export "sum") (param $at i32) (param $left i32) (result i32) (local $sum i32)
                (loop $next
                  (local.set $sum (i32.add (local.get $sum) (i32.load8_u (local.get $at))))
                  (local.set $at (i32.add (local.get $at) (i32.const 1)))
                  (local.set $left (i32.sub (local.get $left) (i32.const 1)))
                  (br_if $next (local.get $left)))
                (local.get $sum)))
            (core instance $i (instantiate $m))
            (func (export "sum") (param "bytes" (list u8)) (result u32)
              (canon lift (core func $i "sum") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
          {plugin}
          (instance $adder (instantiate $adder))
          (instance $plugin (instantiate $plugin
            (with "pgq:plugin/jobs@0.1.0" (instance $jobs))
            (with "pgq:plugin/registry@0.1.0" (instance $registry))
            (with "sum" (func $adder "sum"))))
          (export "pgq:plugin/describe@0.1.0" (instance $plugin "pgq:plugin/describe@0.1.0"))
          (export "pgq:plugin/handler@0.1.0" (instance $plugin "pgq:plugin/handler@0.1.0")))"#
    );
    let engine = engine();
    let plugin = Arc::new(load(&engine, &composed).await.unwrap());
    let report = run(&engine, &plugin, "abc").await;
    assert!(matches!(report.verdicts[..], [Verdict::Complete { .. }]), "{report:?}");
    assert!(report.memory >= 2 * (64 << 10), "both memories are on its account: {report:?}");
    let report = run(&engine, &plugin, "abd").await;
    assert!(report.crashed, "the sum is another: {report:?}");
}

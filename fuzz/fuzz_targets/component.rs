//! Any file in the plugins folder: it is refused with a cause, or loaded. In one process, where a crash of the compiler shows.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pgq_engine::{self as wasm, CodeCache, Engine, EngineSettings};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    Engine::new(&EngineSettings {
        max_instances: 1,
        max_memory: 64 << 20,
        max_guest_memory: 64 << 20,
        compile_timeout: None,
    })
    .expect("an engine")
});
static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime"));

fuzz_target!(|bytes: &[u8]| {
    let loaded =
        RUNTIME.block_on(wasm::load(&ENGINE, &CodeCache::disabled(), "fuzz", bytes, 0, &[], |_| Default::default()));
    match loaded {
        Ok(plugin) => assert!(!plugin.declaration.entrypoints.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

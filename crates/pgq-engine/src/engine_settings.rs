//! What an engine is made from: how much its allocator reserves, and what of WebAssembly is on.
//!
//! The host and the process that compiles for it make their engines here: code that one of them
//! compiled is only run by another of the same settings.

use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::shares::{DESCRIBES, MOST_CORE_INSTANCES, MOST_MEMORIES, MOST_TABLES, Slots};

/// The stack of a guest. Deep recursion traps here, well inside the fiber's stack, of which host
/// calls get the rest.
const GUEST_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 2 << 20;

/// What the allocator reserves for.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Runs at the same time.
    pub max_instances: u32,
    /// The largest memory any one linear memory may have, in bytes: the operator's cap.
    pub max_memory: usize,
    /// What all guests may have together, in bytes.
    pub max_guest_memory: usize,
    /// Time for one compilation, in a process of its own; `None` compiles in this one, for programs
    /// that are not `pgq-host`.
    pub compile_timeout: Option<Duration>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the wasm engine: {0:#}")]
pub(super) struct CannotStart(pub(super) wasmtime::Error);

impl EngineSettings {
    /// wasmtime's own engine, with a pool or without one.
    pub(super) fn engine(&self, pooled: bool) -> Result<wasmtime::Engine, CannotStart> {
        wasmtime::Engine::new(&self.config(pooled)).map_err(CannotStart)
    }

    fn config(&self, pooled: bool) -> Config {
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .epoch_interruption(true)
            .memory_init_cow(true)
            .max_wasm_stack(GUEST_STACK_BYTES)
            .async_stack_size(FIBER_STACK_BYTES)
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            .wasm_relaxed_simd(false);
        if pooled {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool()));
        }
        config
    }

    fn pool(&self) -> PoolingAllocationConfig {
        let n = self.max_instances.max(1) + DESCRIBES;
        let Slots { memories, tables } = Slots::of_pool(self.max_instances.max(1));
        let mut pool = PoolingAllocationConfig::new();
        // Core instances are only counted, not reserved for: a limit for all of them together would
        // be one more thing to run out of.
        pool.total_component_instances(n)
            .total_core_instances(n.saturating_mul(MOST_CORE_INSTANCES))
            .total_memories(memories)
            .total_tables(tables)
            .total_stacks(n)
            .max_core_instances_per_component(MOST_CORE_INSTANCES)
            .max_memories_per_component(MOST_MEMORIES)
            .max_tables_per_component(MOST_TABLES)
            .max_memories_per_module(2)
            .max_tables_per_module(4)
            .table_elements(100_000) // the default, 20,000, is too small for Python guests
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_memory_size(self.max_memory)
            .max_unused_warm_slots(n)
            // A run that took more than stays resident gives it back when it ends: waiting for
            // others to make a batch would keep it for ever.
            .decommit_batch_size(1)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        pool
    }
}

//! How to create an engine: how much its allocator reserves, and which features of WebAssembly are
//! enabled.
//!
//! The host and its compiler process both create their engines here. Code compiled by one engine
//! only runs in another with the same settings.

use std::time::Duration;

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::effort::Effort;
use super::shares::{DESCRIBES, MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLES, Slots};

/// The stack of a guest. Deep recursion traps at this size, well within the fiber's stack, whose
/// rest is for host calls.
const GUEST_STACK_BYTES: usize = 512 << 10;
const FIBER_STACK_BYTES: usize = 2 << 20;

/// What the allocator reserves.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Instances that run at the same time.
    pub max_instances: u32,
    /// The largest size of a linear memory in bytes: the operator's cap.
    pub max_memory: usize,
    /// The most memory of all guests together, in bytes.
    pub max_guest_memory: usize,
    /// The limit on the processor time of a compilation in a separate process. `None` compiles in
    /// this process, for programs other than `pgq-host`.
    pub compile_timeout: Option<Duration>,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the wasm engine: {0:#}")]
pub(super) struct CannotStart(pub(super) wasmtime::Error);

impl EngineSettings {
    /// Create wasmtime's engine, with or without a pool.
    pub(super) fn engine(&self, pooled: bool) -> Result<wasmtime::Engine, CannotStart> {
        wasmtime::Engine::new(&self.config(pooled)).map_err(CannotStart)
    }

    /// Create an engine that only compiles, for one with these settings.
    pub(super) fn compiler(&self, pooled: bool, effort: Effort) -> Result<wasmtime::Engine, CannotStart> {
        let mut config = self.config(pooled);
        effort.set(&mut config);
        wasmtime::Engine::new(&config).map_err(CannotStart)
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
            // The adapters between the components of a composed one copy from memory to memory.
            .wasm_multi_memory(true)
            .wasm_relaxed_simd(false)
            // Set, or wasmtime asks the environment, and the host's is not its compiler's. Without
            // details: a trap would have the host read debug information that a guest brought.
            .wasm_backtrace_details(WasmBacktraceDetails::Disable);
        if pooled {
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool()));
        }
        config
    }

    fn pool(&self) -> PoolingAllocationConfig {
        let n = self.max_instances.max(1) + DESCRIBES;
        let Slots { memories, tables } = Slots::of_pool(self.max_instances.max(1));
        let mut pool = PoolingAllocationConfig::new();
        // Core instances are only counted and cost nothing to reserve. A common limit for all of
        // them would be one more thing to run out of.
        pool.total_component_instances(n)
            .total_core_instances(n.saturating_mul(MAX_CORE_INSTANCES))
            .total_memories(memories)
            .total_tables(tables)
            .total_stacks(n)
            .max_core_instances_per_component(MAX_CORE_INSTANCES)
            .max_memories_per_component(MAX_MEMORIES)
            .max_tables_per_component(MAX_TABLES)
            .max_memories_per_module(2)
            .max_tables_per_module(4)
            .table_elements(100_000) // the default, 20,000, is too small for Python guests
            .max_component_instance_size(4 << 20)
            .max_core_instance_size(4 << 20)
            .max_memory_size(self.max_memory)
            .max_unused_warm_slots(n)
            // A run that used more memory than stays resident returns it when it ends. Waiting to
            // collect a batch could keep it forever.
            .decommit_batch_size(1)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        pool
    }
}

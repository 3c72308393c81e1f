//! The one wasmtime engine of a host: its allocator, its limits and the clock that interrupts guests.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::compiler;
use super::room::Room;
use super::warm::Warm;

/// What runs components, and which.
pub const ENGINE_NAME: &str = "wasmtime";
/// The one that this was built with.
pub const ENGINE_VERSION: &str = wasmtime_environ::VERSION;

/// How often running guests are looked at. A guest past its deadline is gone within two ticks.
const TICK: Duration = Duration::from_millis(10);

/// The stack of a guest. Deep recursion traps here, well inside the fiber's stack, of which host calls get the rest.
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
    /// Time for one compilation, in a process of its own; `None` compiles in this one, for programs that are not `pgq-host`.
    pub compile_timeout: Option<Duration>,
}

/// An engine whose epoch moves while guests run and stands still while none does, so that an idle host costs nothing.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    running: Arc<AtomicUsize>,
    ticker: Thread,
    settings: Arc<EngineSettings>,
    pooled: bool,
    compilers: Arc<Semaphore>,
    warm: Arc<Warm>,
    room: Arc<Room>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("settings", &self.settings).field("pooled", &self.pooled).finish_non_exhaustive()
    }
}

impl Engine {
    /// Reserve the pool and start the clock.
    pub fn new(settings: &EngineSettings) -> anyhow::Result<Engine> {
        let (engine, pooled) = match wasmtime::Engine::new(&config(settings, true)) {
            Ok(engine) => (engine, true),
            Err(error) => {
                // Address space is limited here (a container's ulimit -v, a 32-bit or emulated machine): slower, but it works.
                tracing::warn!(error = %format!("{error:#}"), "cannot reserve the instance pool; instances are allocated one by one");
                (Engine::for_compiling(settings, false)?, false)
            }
        };
        let running = Arc::new(AtomicUsize::new(0));
        let warm = Arc::new(Warm::new(settings.max_instances as usize));
        let ticker = spawn_ticker(&engine, Arc::clone(&running), Arc::downgrade(&warm))?;
        let room = Room::new(settings.max_guest_memory);
        let (settings, compilers) = (Arc::new(settings.clone()), Arc::new(Semaphore::new(compiler::CompilerMemory::here().at_once)));
        Ok(Engine { engine, running, ticker, settings, pooled, compilers, warm, room })
    }

    /// wasmtime's own, whose compiled code another one of the same settings runs. Has no clock.
    pub(super) fn for_compiling(settings: &EngineSettings, pooled: bool) -> anyhow::Result<wasmtime::Engine> {
        wasmtime::Engine::new(&config(settings, pooled)).map_err(|error| anyhow!("cannot start the wasm engine: {error:#}"))
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(super) fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    pub(super) fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Places for compilers.
    pub(super) fn compilers(&self) -> &Semaphore {
        &self.compilers
    }

    pub(super) fn warm(&self) -> &Arc<Warm> {
        &self.warm
    }

    /// The memory of all guests.
    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Instances that hold a place in the pool now: those that run, and those that are kept for the next job. `None` without a pool.
    pub fn instances(&self) -> Option<u64> {
        self.engine.pooling_allocator_metrics().map(|pool| pool.component_instances())
    }

    /// Let the instances go that are kept for the next job.
    pub fn cool_down(&self) {
        self.warm.clear();
    }

    /// Keep the clock going for as long as the guard lives.
    pub(super) fn running(&self) -> Running {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.ticker.unpark();
        }
        Running(Arc::clone(&self.running))
    }
}

/// See [`Engine::running`].
pub(super) struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn spawn_ticker(engine: &wasmtime::Engine, running: Arc<AtomicUsize>, warm: Weak<Warm>) -> anyhow::Result<Thread> {
    // Weak, so that the thread ends with the engine instead of keeping it alive.
    let weak = engine.weak();
    let tick = move || {
        loop {
            if running.load(Ordering::Acquire) == 0 {
                // A bounded wait: the engine may be gone while nothing runs.
                thread::park_timeout(Duration::from_secs(5));
            } else {
                thread::sleep(TICK);
            }
            if let Some(warm) = warm.upgrade() {
                warm.sweep();
            }
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    let handle = thread::Builder::new().name("pgq-epoch".into()).spawn(tick).context("cannot start the epoch thread")?;
    Ok(handle.thread().clone())
}

fn config(settings: &EngineSettings, pooled: bool) -> Config {
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
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings)));
    }
    config
}

fn pool(settings: &EngineSettings) -> PoolingAllocationConfig {
    let n = settings.max_instances.max(1) + 1; // one more for `describe` while all others run
    let mut pool = PoolingAllocationConfig::new();
    // A component of today's tool chains is a handful of core instances around one memory; Python's are a few dozen.
    pool.total_component_instances(n)
        .total_core_instances(n.saturating_mul(8).max(256))
        .total_memories(n.saturating_mul(2))
        .total_tables(n.saturating_mul(4).max(64))
        .total_stacks(n)
        .max_core_instances_per_component(200)
        .max_memories_per_component(8)
        .max_tables_per_component(32)
        .max_memories_per_module(2)
        .max_tables_per_module(4)
        .table_elements(100_000) // the default, 20,000, is too small for Python guests
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        .max_memory_size(settings.max_memory)
        .max_unused_warm_slots(n)
        // A run that took more than stays resident gives it back when it ends: waiting for others to make a batch would keep it for ever.
        .decommit_batch_size(1)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

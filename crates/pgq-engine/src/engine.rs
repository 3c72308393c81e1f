//! The one wasmtime engine of a host: its allocator, its limits, and the clock that interrupts
//! guests.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;

use super::compiler::Compiler;
use super::engine_settings::{CannotStart, EngineSettings};
use super::instance::Instance;
use super::instance_pool::InstancePool;
use super::library::Libraries;
use super::room::Room;
use super::shares::{DESCRIBES, Shares};

/// The name of the engine.
pub const ENGINE_NAME: &str = "wasmtime";
/// The version of the engine in this build.
pub const ENGINE_VERSION: &str = wasmtime_environ::VERSION;

/// How often running guests are checked. A guest past its deadline ends within two ticks.
const TICK: Duration = Duration::from_millis(10);

/// An engine whose epoch advances only while guests run, so that an idle host costs nothing.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    running: Arc<AtomicUsize>,
    ticker: Thread,
    settings: Arc<EngineSettings>,
    compiler: Arc<Compiler>,
    describes: Arc<Semaphore>,
    shares: Arc<Shares>,
    instance_pool: Arc<InstancePool<Instance>>,
    room: Arc<Room>,
    libraries: Arc<Libraries>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Engine {
    /// Reserve the pool and start the clock.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be created or its clock thread cannot be started.
    pub fn new(settings: &EngineSettings) -> anyhow::Result<Engine> {
        let (engine, pooled) = match settings.engine(true) {
            Ok(engine) => (engine, true),
            Err(CannotStart(error)) => {
                // Address space is limited here (a container's ulimit -v, or a 32-bit or emulated
                // machine). Without a pool it is slower, but works.
                tracing::warn!(error = %format!("{error:#}"), "cannot reserve the instance pool; instances are allocated one by one");
                (settings.engine(false)?, false)
            }
        };
        let running = Arc::new(AtomicUsize::new(0));
        let instance_pool = Arc::new(InstancePool::new(settings.max_instances as usize));
        let ticker = spawn_ticker(&engine, Arc::clone(&running), Arc::downgrade(&instance_pool))?;
        let settings = Arc::new(settings.clone());
        Ok(Engine {
            running,
            ticker,
            compiler: Arc::new(Compiler::new(&engine, &settings, pooled)),
            describes: Arc::new(Semaphore::new(DESCRIBES as usize)),
            shares: Arc::new(Shares::new(settings.max_instances.max(1))),
            instance_pool,
            room: Room::new(settings.max_guest_memory),
            libraries: Arc::default(),
            settings,
            engine,
        })
    }

    pub(super) fn inner(&self) -> &wasmtime::Engine {
        &self.engine
    }

    pub(super) fn settings(&self) -> &EngineSettings {
        &self.settings
    }

    pub(super) fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// Permits for plugins that describe themselves.
    pub(super) fn describes(&self) -> &Semaphore {
        &self.describes
    }

    /// The part of the pool that is reserved for components that need more than a slot.
    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// Idle instances for the next jobs.
    pub(super) fn instance_pool(&self) -> &Arc<InstancePool<Instance>> {
        &self.instance_pool
    }

    /// The memory of all guests.
    pub(super) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// The libraries of languages' run-times that loaded components have.
    pub(super) fn libraries(&self) -> &Libraries {
        &self.libraries
    }

    /// How many instances hold a slot of the pool now, whether running or idle. `None` without a
    /// pool.
    pub fn instances(&self) -> Option<u64> {
        self.engine.pooling_allocator_metrics().map(|pool| pool.component_instances())
    }

    /// Drop the idle instances.
    pub fn cool_down(&self) {
        self.instance_pool.clear();
    }

    /// Keep the clock running as long as the guard lives.
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

fn spawn_ticker(
    engine: &wasmtime::Engine,
    running: Arc<AtomicUsize>,
    pool: Weak<InstancePool<Instance>>,
) -> anyhow::Result<Thread> {
    // Weak, so that the thread ends with the engine rather than keeping it alive.
    let weak = engine.weak();
    let tick = move || {
        loop {
            if running.load(Ordering::Acquire) == 0 {
                // The wait has a limit, because the engine may be dropped while nothing runs.
                thread::park_timeout(Duration::from_secs(5));
            } else {
                thread::sleep(TICK);
            }
            if let Some(pool) = pool.upgrade() {
                pool.sweep();
            }
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    let handle =
        thread::Builder::new().name("pgq-epoch".into()).spawn(tick).context("cannot start the epoch thread")?;
    Ok(handle.thread().clone())
}

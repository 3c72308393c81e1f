//! The composition root: connects, builds, spawns, and stops in order. Nothing else spawns a task that outlives a call.

mod stopping;
mod tasks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::announce::{Announcer, Presence};
use crate::byte_budget::ByteBudget;
use crate::capacity::Capacity;
use crate::descriptors;
use crate::executor::Executor;
use crate::guests::GuestRuntime;
use crate::host_memory;
use crate::lease::{self, Leases};
use crate::logging::list;
use crate::names::Names;
use crate::plugins::{BreakerRule, Folder, Reread};
use crate::pulse::Pulse;
use crate::queue::{self, ConnectError, Database, Listener, Pool, Queue, SchemaFeatures, ServerTooOld};
use crate::readiness::{Readiness, Requirement};
use crate::recorder::SlotHandover;
use crate::reload::{self, Loader, Reload, Sources};
use crate::signal::Signals;
use crate::telemetry::{Pages, Shown, Subject};
use crate::told::told;
use crate::wasm::{CodeCache, Engine, EngineSettings};
use crate::worker::{self, Ended, Worker};
use crate::{maintenance, recorder, schedules, schema};
use stopping::Stopping;
use tasks::Tasks;

/// The tasks of upkeep have so long to end their last statement at a stop.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Jobs are claimed for the plugins that are loaded by then. What is compiled already is there in milliseconds.
const LOADS_FIRST: Duration = Duration::from_secs(1);

/// All that a worker needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the database is.
    pub database: Database,
    /// What its objects are called.
    pub names: Names,
    /// Where plugins are.
    pub folder: Folder,
    /// How to read again what they may do.
    pub reread: Reread,
    /// When an entrypoint whose runs crash is paused.
    pub breaker: BreakerRule,
    /// Where compiled code is kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Jobs that run at a time.
    pub max_concurrent_tasks: usize,
    /// Bytes of payloads and headers that claimed jobs may hold.
    pub max_claimed_bytes: u64,
    /// Bytes that all running guests may have together.
    pub max_guest_memory: usize,
    /// A job whose worker was silent for so long is taken from it.
    pub heartbeat_timeout: Duration,
    /// Running jobs have so long to end at a stop.
    pub drain_timeout: Duration,
    /// The log is counted into the statistics so often; zero leaves it to others.
    pub log_aggregation_interval: Duration,
    /// What it must have to be called ready.
    pub require: Vec<Requirement>,
    /// Where to serve metrics.
    pub listen: Option<SocketAddr>,
    /// The claim loop's.
    pub worker: worker::Settings,
}

/// Run a worker until it is told to stop. `Ok` means that everything it held was recorded or released.
///
/// The signals come from outside: whoever starts something before this, as `dev` does, catches them before that.
pub async fn run(settings: Settings, signals: &mut Signals) -> anyhow::Result<()> {
    let drain_timeout = settings.drain_timeout;
    let running = tokio::select! {
        running = Box::pin(start(settings)) => running?,
        // Nothing is claimed yet: whatever it waits for (a database, a lock, a folder, a compiler), it need not.
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return Ok(());
        }
    };
    let Running {
        executor,
        capacity,
        leases,
        worker,
        recorder,
        stop_claiming,
        stop_upkeep,
        give_up,
        pulse,
        mut tasks,
        pool,
        engine,
        shown,
        _threads,
    } = running;
    let stopping = Stopping { executor, capacity, leases, stop_claiming, give_up, signals, drain_timeout, pulse };
    let ended = stopping.run(worker, recorder, &mut tasks).await;
    stop_upkeep.cancel();
    tasks.wind_up(UPKEEP_TIMEOUT).await;
    drop(shown);
    pool.close().await;
    engine.cool_down();
    // Anything but 0 is a leak.
    tracing::info!(instances = engine.instances(), "stopped");
    match ended? {
        Ended::ListenerLost => anyhow::bail!("the listening connection was lost, and --shutdown-on-listener-failure is set"),
        Ended::Left(left) => anyhow::bail!("the drain ended with jobs left: {left}; mend the plugin and drain again"),
        Ended::Stopped | Ended::Drained => Ok(()),
    }
}

/// A worker that claims, and all that it consists of.
struct Running {
    executor: Executor,
    capacity: Arc<Capacity>,
    leases: Arc<Leases>,
    worker: JoinHandle<Ended>,
    recorder: JoinHandle<()>,
    stop_claiming: CancellationToken,
    stop_upkeep: CancellationToken,
    give_up: CancellationToken,
    pulse: Pulse,
    tasks: Tasks,
    pool: Pool,
    engine: Engine,
    shown: Option<Shown>,
    _threads: GuestRuntime,
}

async fn start(settings: Settings) -> anyhow::Result<Running> {
    let (started, mut tasks) = (Instant::now(), Tasks::default());
    // Before anybody asks how much there is.
    descriptors::raise();
    let (stop_claiming, stop_upkeep, give_up) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let pages = match settings.listen.map(Pages::open).transpose()? {
        Some((pages, serve)) => {
            // For the rest of the process: a worker that is started anew finds its pages served.
            serve.map(tokio::spawn);
            let stop = stop_upkeep.clone();
            tasks.spawn("pages", async move {
                stop.run_until_cancelled(pages.ended()).await;
            });
            Some(pages)
        }
        None => None,
    };
    let me = Uuid::new_v4();
    let connected = settings.database.connect_worker(me).await.map_err(|error| match error {
        ConnectError::Unreachable(error) => unreachable_database(&settings.database.source, &error),
        error @ ConnectError::TransactionPooler => error.into(),
    })?;
    let pool = connected.pool;
    let pulse = Pulse::new(pool.longest_wait());
    let names = settings.names.clone();
    pool.transaction(move |connection| Box::pin(async move { schema::check_worker(connection, &names).await })).await?;
    let engine = Engine::new(&EngineSettings {
        max_instances: u32::try_from(settings.max_concurrent_tasks).unwrap_or(u32::MAX),
        max_memory: settings.folder.caps.memory,
        max_guest_memory: settings.max_guest_memory,
        compile_timeout: Some(settings.folder.caps.compile_timeout),
    })?;
    let max_crashes = settings.folder.caps.max_crashes;
    let cache = open_cache(settings.cache.as_deref());
    let (_threads, guests) = GuestRuntime::start()?;
    let loader = Loader { engine: engine.clone(), cache };
    let queue = Queue::of_worker(pool.clone(), settings.names.clone(), me);
    let features = queue.schema_features().await?;
    if features != SchemaFeatures::ALL {
        tracing::warn!(
            lacking = %list(&features.missing()),
            "the database is that of an earlier release, or this role was granted nothing on what came since: \
             `pgq-host upgrade`, `pgq-host grant ROLE --apply`, then a restart, bring what is lacking"
        );
    }
    let queue = queue.with_features(features).within(ByteBudget::new(settings.max_claimed_bytes, host_memory::limit())).fitted().await?;
    let (link, fleet) = reload::join(queue.clone()).await;
    let sources = Sources { folder: settings.folder, reread: settings.reread, rule: settings.breaker, link };
    // A host that ends when no job is left has to know first whose jobs those are.
    let patience = (settings.worker.mode == worker::Mode::Continuous).then_some(LOADS_FIRST);
    let (reload, plugins) = Reload::start(sources, loader, patience).await?;
    let (present, listening) = watch::channel(false);
    let listens = connected.listen_from.is_some();
    let presence = match features.presence {
        false => Presence::Unknown,
        true if settings.database.transaction_pooling => Presence::WhileListening(listening.clone()),
        true => Presence::Always,
    };
    let leases = Arc::new(Leases::new(settings.heartbeat_timeout));
    queue.access().expect_within(settings.heartbeat_timeout / 2);
    let (event_sender, events) = mpsc::channel(1024);
    let (record_sender, records) = mpsc::channel(recorder::BACKLOG);
    let (next_sender, next_jobs) = mpsc::channel(recorder::NEXT);
    let capacity = Capacity::new(settings.max_concurrent_tasks);
    let executor = Executor::new(engine.clone(), guests.clone(), queue.clone(), Arc::clone(&capacity), Arc::clone(&leases), record_sender);
    let (command_sender, commands) = mpsc::channel(16);
    let (tried_sender, tried) = oneshot::channel();
    let (lost_sender, lost) = mpsc::channel(64);
    // Behind a pooler there may be no session to listen on; then the worker polls, and its lease is all that speaks for it.
    let listener = connected.listen_from.map(|from| {
        queue::listen(Listener {
            from,
            channel: settings.names.channel.clone(),
            fleet_channel: settings.names.fleet_channel(),
            events: event_sender,
            commands: command_sender,
            watch: (!matches!(presence, Presence::Unknown)).then(|| queue.watch(lost_sender)),
            present,
            tried: tried_sender,
        })
    });
    if let Some(listener) = listener {
        tasks.spawn("listener", listener);
    }
    // Before the first claim, or a cancellation of what it takes could go unheard.
    let _ = tried.await;
    // Before the first claim, too: what is not announced is not watched.
    let mut announcer = Announcer::new(queue.clone(), plugins.clone(), presence);
    let announced = announcer.announce().await;
    let readiness = Readiness::new(queue.clone(), plugins.clone(), &settings.require, started);
    let rescue = maintenance::Rescue { plugins: plugins.clone(), lease: settings.heartbeat_timeout, max_crashes };
    let stop = || stop_upkeep.clone();
    tasks.spawn("reload", reload.run(commands, stop_claiming.clone()));
    tasks.spawn("verdicts", fleet.keep(stop()));
    tasks.spawn("readiness", readiness.clone().tell(pulse.clone(), stop()));
    tasks.spawn("announcer", announcer.keep(announced, stop()));
    tasks.spawn("rescue of lost workers", maintenance::rescue_from(queue.clone(), lost, rescue.clone(), stop()));
    tasks.spawn("pruning", maintenance::prune(queue.clone(), stop()));
    tasks.spawn("lease keeper", lease::keep(Arc::clone(&leases), queue.clone(), stop()));
    tasks.spawn("rescue", maintenance::rescue(queue.clone(), Arc::clone(&leases), rescue, stop()));
    tasks.spawn("statistics", maintenance::aggregate(queue.clone(), settings.log_aggregation_interval, stop()));
    tasks.spawn("jobs handed over", worker::start_handed_over(executor.clone(), next_jobs, stop_claiming.clone()));
    let handover = SlotHandover::new(plugins.clone(), Arc::clone(&capacity), next_sender, stop_claiming.clone());
    let recorder = tokio::spawn(recorder::record(queue.clone(), Arc::clone(&leases), handover, records, give_up.clone()));
    let (schedule_queue, schedule_plugins) = (queue.clone(), plugins.clone());
    let shown = pages.map(|pages| {
        pages.show(Subject {
            queue: queue.clone(),
            plugins: plugins.clone(),
            leases: Arc::clone(&leases),
            guests,
            places: settings.max_concurrent_tasks,
            pulse: pulse.clone(),
            listening: listens.then_some(listening),
            readiness,
            stopping: stop_claiming.clone(),
        })
    });
    let worker = Worker {
        queue,
        plugins,
        executor: executor.clone(),
        capacity: Arc::clone(&capacity),
        leases: Arc::clone(&leases),
        events,
        settings: settings.worker,
        pulse: pulse.clone(),
        stop: stop_claiming.clone(),
    };
    // A host that is to end when the queue is empty must not fill it.
    if settings.worker.mode == worker::Mode::Continuous {
        let schedules = schedules::keep(schedule_queue, schedule_plugins, settings.worker.dequeue_timeout, stop_claiming.clone());
        tasks.spawn("schedules", schedules);
    }
    let beating = pulse.clone();
    let worker = tokio::spawn(async move { beating.of(worker.run()).await });
    Ok(Running {
        executor,
        capacity,
        leases,
        worker,
        recorder,
        stop_claiming,
        stop_upkeep,
        give_up,
        pulse,
        tasks,
        pool,
        engine,
        shown,
        _threads,
    })
}

pub(crate) fn open_cache(folder: Option<&std::path::Path>) -> CodeCache {
    let Some(folder) = folder else { return CodeCache::disabled() };
    CodeCache::open(folder).unwrap_or_else(|error| {
        tracing::warn!(error = %format!("{error:#}"), "plugins are compiled at every start");
        CodeCache::disabled()
    })
}

pub(crate) fn unreachable_database(options: &PgConnectOptions, error: &sqlx::Error) -> anyhow::Error {
    if let sqlx::Error::Configuration(cause) = error
        && let Some(too_old) = cause.downcast_ref::<ServerTooOld>()
    {
        // It can be reached all right.
        return too_old.to_owned().into();
    }
    anyhow::anyhow!(
        "cannot connect to PostgreSQL at {}:{} as {:?}, database {:?}: {}; set --pg-dsn or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
        options.get_host(),
        options.get_port(),
        options.get_username(),
        options.get_database().unwrap_or(options.get_username()),
        told(error),
    )
}

//! The composition root: builds, spawns, and stops in order. Nothing else spawns a task that
//! outlives a call.

mod announcing;
mod database;
mod listening;
mod pages;
mod pipeline;
mod plugins;
mod sandbox;
mod settings;
mod stopping;
mod stops;
mod tasks;
mod visitors;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::announce::Announcer;
use crate::capacity::Capacity;
use crate::executor::Executor;
use crate::idle::Idle;
use crate::lease::{Leases, renewal};
use crate::readiness::Readiness;
use crate::recorder::{self, SlotHandover};
use crate::signal::Signals;
use crate::telemetry::{Pages, Shown, WorkerHandles};
use crate::watchdog::Watchdog;
use crate::worker::{self, Ended, Mode, Worker};
use crate::{causes, maintenance, retention, schedules};
use pgq_engine::Engine;
use pgq_engine::descriptors;
use pgq_engine::guests::GuestRuntime;
use pgq_queue::told::Told as _;
use pgq_queue::{Connected, Pool, Queue, SchemaFeatures};
use pgq_trace::Pump;
use pipeline::Pipeline;
use plugins::Plugins;
use sandbox::Sandbox;
pub(crate) use sandbox::open_cache;
pub use settings::Settings;
use stopping::Stopping;
use stops::Stops;
use tasks::Tasks;

/// The tasks of upkeep have so long to end their last statement at a stop.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(2);

/// Run a worker until it is told to stop. `Ok` means that everything it held was recorded or
/// released.
///
/// The signals come from outside: whoever starts something before this, as `dev` does, catches them
/// before that.
pub async fn run(settings: Settings, signals: &mut Signals) -> anyhow::Result<()> {
    let (stops, mut tasks) = (Stops::default(), Tasks::default());
    let drain_timeout = settings.drain_timeout;
    let starting = async {
        let began = Instant::now();
        // Before anybody asks how much there is.
        descriptors::raise();
        let pages = pages::open(&settings, stops.upkeep.clone(), &mut tasks)?;
        let worker = build(settings).await?;
        anyhow::Ok(spawn(worker, pages, began, &stops, &mut tasks).await)
    };
    let running = tokio::select! {
        running = Box::pin(starting) => running?,
        // Nothing is claimed yet: whatever it waits for (a database, a lock, a folder, a compiler),
        // it need not.
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return Ok(());
        }
    };
    stop(running, tasks, stops, signals, drain_timeout).await
}

/// What a worker consists of; nothing of it runs yet.
struct Built {
    settings: Settings,
    database: Connected,
    queue: Queue,
    features: SchemaFeatures,
    sandbox: Sandbox,
    plugins: Plugins,
    pipeline: Pipeline,
    traces: Option<Pump>,
    watchdog: Watchdog,
}

/// Connect, look at what is there, and load the plugins.
async fn build(settings: Settings) -> anyhow::Result<Built> {
    // Before anything else: without its keys, a host is of no use.
    settings.keyring.read().await.map_err(anyhow::Error::msg)?;
    let me = Uuid::new_v4();
    let database = database::connect(&settings.database, &settings.names, me).await?;
    let watchdog = Watchdog::new(database.pool.longest_wait());
    let traces = settings.traces.as_ref();
    let traces = traces.map(|traces| pgq_trace::start(traces, settings.keep_traces, &me.to_string())).transpose()?;
    let (tracer, traces) = traces.unzip();
    let sandbox = sandbox::build(&settings)?;
    let (queue, features) =
        database::open_queue(database.pool.clone(), &settings.names, me, settings.max_claimed_bytes).await?;
    let plugins = plugins::load(&settings, &queue, sandbox.loader.clone()).await?;
    let pipeline = pipeline::build(&settings, &queue, &sandbox, plugins.served.clone(), tracer);
    Ok(Built { settings, database, queue, features, sandbox, plugins, pipeline, traces, watchdog })
}

/// What is waited for at a stop, and what is put away then.
struct Running {
    claim_loop: JoinHandle<Ended>,
    recorder: JoinHandle<()>,
    executor: Executor,
    capacity: Arc<Capacity>,
    leases: Arc<Leases>,
    watchdog: Watchdog,
    shown: Option<Shown>,
    pool: Pool,
    engine: Engine,
    _threads: GuestRuntime,
}

/// Start everything, the claim loop last. Each task is told to stop by the token beside it.
async fn spawn(
    built: Built,
    pages: Option<&'static Pages>,
    began: Instant,
    stops: &Stops,
    tasks: &mut Tasks,
) -> Running {
    let Built { settings, database, queue, features, sandbox, plugins, pipeline, traces, watchdog } = built;
    let Pipeline { leases, capacity, executor, batches, settler, records, next, next_jobs, tracer } = pipeline;
    let served = plugins.served;
    let (claiming, upkeep) = (|| stops.claiming.clone(), || stops.upkeep.clone());

    // Before the first claim: a cancellation of what it takes must be heard, and what is not
    // announced is not watched.
    let listens = database.listen_from.is_some();
    let listening = listening::listen(database.listen_from, &queue, features.presence, tasks).await;
    let presence = announcing::presence(features, settings.database.transaction_pooling, &listening.present);
    let mut announcer = Announcer::new(queue.clone(), served.clone(), presence);
    let announced = announcer.announce().await;
    let seen = announcer.seen();
    tasks.spawn("announcer", announcer.keep(announced, upkeep()));

    if let Err(error) = queue.look_for_deaths().await {
        tracing::warn!(error = %error.told(), "cannot look for hosts that died; jobs are claimed as if none had");
    }

    tasks.spawn("reload", plugins.reload.run(listening.commands, claiming()));
    if let Some(mirror) = plugins.mirror {
        tasks.spawn("registries", mirror.keep(claiming()));
    }
    tasks.spawn("verdicts", plugins.verdicts.keep(seen.clone(), upkeep()));
    tasks.spawn("pauses", plugins.pauses.keep(seen, upkeep()));
    let readiness = Readiness::new(queue.clone(), served.clone(), &settings.require, began);
    tasks.spawn("readiness", readiness.clone().tell(watchdog.clone(), upkeep()));

    let lost_jobs = maintenance::Rescue {
        plugins: served.clone(),
        lease: settings.heartbeat_timeout,
        max_crashes: settings.folder.caps.max_crashes,
        tracer,
    };
    tasks.spawn(
        "rescue of lost workers",
        maintenance::rescue_from(queue.clone(), listening.lost, lost_jobs.clone(), upkeep()),
    );
    let idle = Idle::default();
    tasks.spawn("rescue", maintenance::rescue(queue.clone(), Arc::clone(&leases), idle.clone(), lost_jobs, upkeep()));
    tasks.spawn("lease keeper", renewal::keep(Arc::clone(&leases), queue.clone(), upkeep()));
    tasks.spawn("pruning", maintenance::prune(queue.clone(), upkeep()));
    tasks.spawn("retention", retention::keep(queue.pruner(), settings.retention, upkeep()));
    tasks.spawn("statistics", maintenance::aggregate(queue.clone(), settings.log_aggregation_interval, upkeep()));
    if let Some(traces) = traces {
        tasks.spawn("traces", traces.run(upkeep()));
    }
    tasks.spawn("causes of failures", causes::keep(queue.clone(), upkeep()));
    // A host that is to end when the queue is empty must not fill it.
    if settings.worker.mode == Mode::Continuous {
        tasks.spawn(
            "schedules",
            schedules::keep(
                queue.clone(),
                served.clone(),
                plugins.rescheduled,
                settings.worker.dequeue_timeout,
                claiming(),
            ),
        );
    }

    let shown = pages.map(|pages| {
        pages.show(WorkerHandles {
            queue: queue.clone(),
            plugins: served.clone(),
            leases: Arc::clone(&leases),
            guests: sandbox.guests,
            places: settings.max_concurrent_tasks,
            watchdog: watchdog.clone(),
            listening: listens.then_some(listening.present),
            readiness,
            stopping: claiming(),
        })
    });

    tasks.spawn("jobs handed over", worker::start_handed_over(executor.clone(), next_jobs, claiming()));
    let handover = SlotHandover::new(served.clone(), Arc::clone(&capacity), next, claiming());
    let recorder =
        tokio::spawn(recorder::record(queue.clone(), Arc::clone(&leases), handover, records, stops.recording.clone()));
    tasks.spawn("settler", settler.run(stops.recording.clone()));
    let worker = Worker {
        queue,
        plugins: served,
        executor: executor.clone(),
        capacity: Arc::clone(&capacity),
        leases: Arc::clone(&leases),
        batches,
        idle,
        events: listening.events,
        settings: settings.worker,
        watchdog: watchdog.clone(),
        stop: claiming(),
    };
    let beating = watchdog.clone();
    let claim_loop = tokio::spawn(async move { beating.run(worker.run()).await });

    let (pool, engine) = (database.pool, sandbox.engine);
    Running {
        claim_loop,
        recorder,
        executor,
        capacity,
        leases,
        watchdog,
        shown,
        pool,
        engine,
        _threads: sandbox.threads,
    }
}

/// Wait until there is a reason to stop, and stop: claims, runs, outcomes; then the tasks that kept
/// all of them going, and what they used.
async fn stop(
    running: Running,
    mut tasks: Tasks,
    stops: Stops,
    signals: &mut Signals,
    drain_timeout: Duration,
) -> anyhow::Result<()> {
    let Running { claim_loop, recorder, executor, capacity, leases, watchdog, shown, pool, engine, _threads } = running;
    let stopping = Stopping { executor, capacity, leases, stops: stops.clone(), signals, drain_timeout, watchdog };
    let ended = stopping.run(claim_loop, recorder, &mut tasks).await;
    stops.upkeep.cancel();
    tasks.wind_up(UPKEEP_TIMEOUT).await;
    drop(shown);
    pool.close().await;
    engine.cool_down();
    // Anything but 0 is a leak.
    tracing::info!(instances = engine.instances(), "stopped");
    match ended? {
        Ended::ListenerLost => {
            anyhow::bail!("the listening connection was lost, and --shutdown-on-listener-failure is set")
        }
        Ended::Left(left) => anyhow::bail!("the drain ended with jobs left: {left}; mend the plugin and drain again"),
        Ended::Stopped | Ended::Drained => Ok(()),
    }
}

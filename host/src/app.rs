//! The composition root: connects, builds, spawns, and stops in order. Nothing else spawns a task that outlives a call.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::announce::{Announcer, Presence};
use crate::descriptors;
use crate::executor::Executor;
use crate::guests::GuestRuntime;
use crate::lease::{self, Leases};
use crate::logging::list;
use crate::names::Names;
use crate::plugins::{BreakerRule, Folder, Reread};
use crate::pulse::Pulse;
use crate::queue::{self, ConnectError, Database, Lacking, Listener, Queue};
use crate::reload::{Loader, Reload};
use crate::signal::Signals;
use crate::telemetry::{Pages, Subject};
use crate::wasm::{CodeCache, Control, Engine, EngineSettings};
use crate::worker::{self, Ended, Relay, Worker};
use crate::{maintenance, recorder, schedules, schema};

/// Outcomes of a stop have so long to be written before the process ends without.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// Interrupted guests are gone within two ticks of the epoch; this is for a machine that is out of breath.
const INTERRUPT_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// Bytes that all running guests may have together.
    pub max_guest_memory: usize,
    /// A job whose worker was silent for so long is taken from it.
    pub heartbeat_timeout: Duration,
    /// Running jobs have so long to end at a stop.
    pub drain_timeout: Duration,
    /// The log is counted into the statistics so often; zero leaves it to others.
    pub log_aggregation_interval: Duration,
    /// Where to serve metrics.
    pub listen: Option<SocketAddr>,
    /// The claim loop's.
    pub worker: worker::Settings,
}

/// Run a worker until it is told to stop. `Ok` means that everything it held was recorded or released.
///
/// The signals come from outside: whoever starts something before this, as `dev` does, catches them before that.
pub async fn run(settings: Settings, signals: Signals) -> anyhow::Result<()> {
    let (started, pulse) = (Instant::now(), Pulse::default());
    // Before anybody asks how much there is.
    descriptors::raise();
    let pages = match settings.listen.map(Pages::open).transpose()? {
        Some((pages, serve)) => {
            // For the rest of the process: a worker that is started anew finds its pages served.
            serve.map(tokio::spawn);
            Some(pages)
        }
        None => None,
    };
    let me = Uuid::new_v4();
    let connected = settings.database.connect_worker(me).await.map_err(|error| match error {
        ConnectError::Unreachable(error) => unreachable_database(&settings.database.options, &error),
        error @ ConnectError::TransactionPooler => error.into(),
    })?;
    let pool = connected.pool;
    schema::check_worker(&mut *pool.begin().await?, &settings.names).await?;
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
    let (reload, plugins) = Reload::start(settings.folder, settings.reread, settings.breaker, loader).await?;
    let queue = Queue::of_worker(pool.clone(), settings.names.clone(), me);
    let lacking = queue.lacking().await?;
    if lacking != Lacking::default() {
        tracing::warn!(
            lacking = %list(&lacking.names()),
            "the database is that of an earlier release, or this role was granted nothing on what came since: \
             `pgq-host upgrade`, `pgq-host grant ROLE --apply`, then a restart, bring what is lacking"
        );
    }
    let queue = queue.without(lacking);
    let (present, listening) = watch::channel(false);
    let listens = connected.listen_from.is_some();
    let presence = match lacking.presence {
        true => Presence::Unknown,
        false if settings.database.transaction_pooling => Presence::WhileListening(listening.clone()),
        false => Presence::Always,
    };
    let leases = Arc::new(Leases::new(settings.heartbeat_timeout));
    queue.access().expect_within(settings.heartbeat_timeout / 2);
    let (event_sender, events) = mpsc::channel(1024);
    let (record_sender, records) = mpsc::channel(recorder::BACKLOG);
    let executor =
        Executor::new(engine.clone(), guests.clone(), queue.clone(), settings.max_concurrent_tasks, Arc::clone(&leases), record_sender);
    let (stop_claiming, stop_upkeep, give_up) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());

    let (command_sender, commands) = mpsc::channel(16);
    let (tried_sender, tried) = oneshot::channel();
    let (lost_sender, lost) = mpsc::channel(64);
    // Behind a pooler there may be no session to listen on; then the worker polls, and its lease is all that speaks for it.
    let listener = connected.listen_from.map(|from| {
        tokio::spawn(queue::listen(Listener {
            from,
            channel: settings.names.channel.clone(),
            fleet_channel: settings.names.fleet_channel(),
            events: event_sender,
            commands: command_sender,
            watch: (!matches!(presence, Presence::Unknown)).then(|| queue.watch(lost_sender)),
            present,
            tried: tried_sender,
        }))
    });
    // Before the first claim, or a cancellation of what it takes could go unheard.
    let _ = tried.await;
    // Before the first claim, too: what is not announced is not watched.
    let mut announcer = Announcer::new(queue.clone(), plugins.clone(), presence);
    let announced = announcer.announce().await;
    tracing::info!(
        plugins = plugins.borrow().plugins().count(),
        refused = plugins.borrow().files().iter().filter(|file| file.fault.is_some()).count(),
        start_ms = started.elapsed().as_millis(),
        "ready"
    );
    let rescue = maintenance::Rescue { plugins: plugins.clone(), lease: settings.heartbeat_timeout, max_crashes };
    let upkeep = vec![
        tokio::spawn(reload.run(commands, stop_claiming.clone())),
        tokio::spawn(announcer.keep(announced, stop_upkeep.clone())),
        tokio::spawn(maintenance::rescue_from(queue.clone(), lost, rescue.clone(), stop_upkeep.clone())),
        tokio::spawn(maintenance::prune(queue.clone(), stop_upkeep.clone())),
        tokio::spawn(lease::keep(Arc::clone(&leases), queue.clone(), stop_upkeep.clone())),
        tokio::spawn(maintenance::rescue(queue.clone(), Arc::clone(&leases), rescue, stop_upkeep.clone())),
        tokio::spawn(maintenance::aggregate(queue.clone(), settings.log_aggregation_interval, stop_upkeep.clone())),
    ];
    let relay = Relay::new(plugins.clone(), executor.downgrade(), stop_claiming.clone());
    let recorder = tokio::spawn(recorder::record(queue.clone(), Arc::clone(&leases), relay, records, give_up.clone()));
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
            stopping: stop_claiming.clone(),
        })
    });
    let worker = Worker {
        queue,
        plugins,
        executor: executor.clone(),
        leases: Arc::clone(&leases),
        events,
        settings: settings.worker,
        pulse: pulse.clone(),
        stop: stop_claiming.clone(),
    };
    // A host that is to end when the queue is empty must not fill it.
    let schedules = (settings.worker.mode == worker::Mode::Continuous)
        .then(|| tokio::spawn(schedules::keep(schedule_queue, schedule_plugins, settings.worker.dequeue_timeout, stop_claiming.clone())));
    let beating = pulse.clone();
    let mut worker = tokio::spawn(async move { beating.of(worker.run()).await });

    let stopping = Stopping { executor, leases, stop_claiming, give_up, signals, drain_timeout: settings.drain_timeout, pulse };
    let ended = stopping.run(&mut worker, recorder).await?;
    stop_upkeep.cancel();
    for task in upkeep.into_iter().chain(schedules) {
        task.await?;
    }
    drop(shown);
    listener.iter().for_each(JoinHandle::abort);
    pool.close().await;
    engine.cool_down();
    // Anything but 0 is a leak.
    tracing::info!(instances = engine.instances(), "stopped");
    match ended {
        Ended::ListenerLost => anyhow::bail!("the listening connection was lost, and --shutdown-on-listener-failure is set"),
        Ended::Left(left) => anyhow::bail!("the drain ended with jobs left: {left}; mend the plugin and drain again"),
        Ended::Stopped | Ended::Drained => Ok(()),
    }
}

/// The end of a worker, in order: claims, runs, outcomes. Heartbeats go on until the last outcome is written.
struct Stopping {
    executor: Executor,
    leases: Arc<Leases>,
    stop_claiming: CancellationToken,
    give_up: CancellationToken,
    signals: Signals,
    drain_timeout: Duration,
    pulse: Pulse,
}

impl Stopping {
    async fn run(mut self, worker: &mut JoinHandle<Ended>, mut recorder: JoinHandle<()>) -> anyhow::Result<Ended> {
        let ended = tokio::select! {
            ended = &mut *worker => ended.context("the claim loop ended unexpectedly")?,
            ended = &mut recorder => {
                ended.context("the recorder ended unexpectedly")?;
                anyhow::bail!("the recorder ended while the worker was running")
            }
            name = self.signals.next() => {
                tracing::info!(signal = name, running = self.leases.len(), drain_timeout_ms = self.drain_timeout.as_millis(), "stopping; a second signal interrupts running jobs");
                self.stop_claiming.cancel();
                worker.await.context("the claim loop ended unexpectedly")?
            }
        };
        // Whatever the reason is: from now on nothing is taken on, no tick of a schedule either.
        self.stop_claiming.cancel();
        self.pulse.stopping(self.leases.len());
        self.executor.close();
        self.leases.tell_all(Control::wind_down);
        tokio::select! {
            () = idle(&self.executor) => {}
            () = tokio::time::sleep(self.drain_timeout) => tracing::warn!(running = self.executor.active(), "the drain timeout is over; running jobs are interrupted and queued again"),
            name = self.signals.next() => tracing::warn!(signal = name, running = self.executor.active(), "running jobs are interrupted and queued again"),
        }
        self.leases.tell_all(Control::shut_down);
        if tokio::time::timeout(INTERRUPT_TIMEOUT, idle(&self.executor)).await.is_err() {
            tracing::error!(
                running = self.executor.active(),
                "some runs could not be interrupted; they run again when their leases are over"
            );
        }
        // The executor holds the recorder's last sender: without it the recorder writes what it has and ends.
        let Stopping { executor, give_up, mut signals, .. } = self;
        drop(executor);
        tokio::select! {
            ended = &mut recorder => ended.context("the recorder ended unexpectedly")?,
            () = tokio::time::sleep(RECORD_TIMEOUT) => give_up.cancel(),
            name = signals.next() => { tracing::warn!(signal = name, "stopping without waiting for outcomes to be written"); give_up.cancel() }
        }
        if !recorder.is_finished() {
            recorder.await?;
        }
        if give_up.is_cancelled() {
            anyhow::bail!("some outcomes were not recorded; their jobs run again when their leases are over");
        }
        Ok(ended)
    }
}

async fn idle(executor: &Executor) {
    while executor.active() > 0 {
        executor.freed().await;
    }
}

pub(crate) fn open_cache(folder: Option<&std::path::Path>) -> CodeCache {
    let Some(folder) = folder else { return CodeCache::disabled() };
    CodeCache::open(folder).unwrap_or_else(|error| {
        tracing::warn!(error = %format!("{error:#}"), "plugins are compiled at every start");
        CodeCache::disabled()
    })
}

pub(crate) fn unreachable_database(options: &PgConnectOptions, error: &sqlx::Error) -> anyhow::Error {
    anyhow::anyhow!(
        "cannot connect to PostgreSQL at {}:{} as {:?}, database {:?}: {error}; set --pg-dsn or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
        options.get_host(),
        options.get_port(),
        options.get_username(),
        options.get_database().unwrap_or(options.get_username()),
    )
}

//! `run`: the production worker.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::database::DatabaseArgs;
use super::logging::LoggingArgs;
use super::plugin_sources::{DEFAULT_REGISTRY_INTERVAL, PluginSources, RegistryArgs};
use super::usage::{OrUsage as _, usage};
use super::values;
use crate::access::AccessSettings;
use crate::app;
use crate::config::{Config, parse_bytes, parse_duration, slow_of};
use crate::location::Location;
use crate::lock_file::{DEFAULT_LOCK, LockFile};
use crate::plugins::{Chosen, ClaimMode, Reread};
use crate::readiness::Requirement;
use crate::sealing::Keyring;
use crate::signal::Signals;
use crate::worker;
use pgq_engine::host_memory;
use pgq_queue::byte_budget::ByteBudget;
use pgq_queue::environment;
use pgq_queue::names::Names;
use pgq_queue::told::told;
use pgq_queue::{Database, HistoryLevel};
use pgq_sql::DEFAULT_SESSIONS;
use pgq_trace::TraceSettings;

/// The most jobs per claim. With PgQueuer's default of 10, short jobs would spend their time on
/// round trips. The free slots limit a claim either way.
const DEFAULT_BATCH_SIZE: usize = 1_000;
const DEFAULT_MAX_CONCURRENT_TASKS: usize = 100;
/// The instance pool reserves address space for each, and there are 128 TiB of it.
const MAX_CONCURRENT_TASKS: usize = 5_000;
/// In most languages, a guest needs no more than this default limit of one run.
const MIN_GUEST_MEMORY: u64 = 16 << 20;
const DEFAULT_DEQUEUE_TIMEOUT: Duration = Duration::from_secs(30);
/// For a worker that no notification wakes.
const POLLING_DEQUEUE_TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const DEFAULT_HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_LOG_AGGREGATION_INTERVAL: Duration = Duration::from_secs(30);
/// Kubernetes gives a pod 30 s to stop, in which interrupted jobs must be recorded, too.
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
pub(super) const NO_FOLDER: &str = "no folder of plugins is configured; use --plugins DIR, --plugins oci://REGISTRY/NAME:TAG, PGQ_HOST_PLUGINS, or `plugins` under [run] in pgq-host.toml";

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[arg(
        long,
        help = "A folder of plugins, of which every *.wasm is loaded, or a plugin of a registry: oci://registry/name:tag or @sha256:...; repeatable",
        env = "PGQ_HOST_PLUGINS",
        value_name = "PLACE",
        value_delimiter = ','
    )]
    pub(super) plugins: Vec<Location>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// Serve exactly the digests in the lock file
    #[arg(long, env = "PGQ_HOST_LOCKED")]
    locked: bool,
    /// The lock file that `plugin lock` writes
    #[arg(long, env = "PGQ_HOST_LOCK_FILE", value_name = "FILE", default_value = DEFAULT_LOCK)]
    lock_file: PathBuf,
    #[arg(long, env = "PGQ_HOST_REGISTRY_INTERVAL", value_parser = parse_duration, help = format!("Seconds between two looks at registries for tags that moved [default: {}]", DEFAULT_REGISTRY_INTERVAL.as_secs()))]
    registry_interval: Option<Duration>,
    /// Restart when the worker ends with an error, instead of exiting with 1
    #[arg(long, env = "PGQ_HOST_RESTART_ON_FAILURE")]
    restart_on_failure: bool,
    /// Seconds to wait before a restart
    #[arg(long, default_value = "5", env = "PGQ_HOST_RESTART_DELAY", value_parser = parse_duration)]
    restart_delay: Duration,
    #[command(flatten)]
    pub(super) worker: WorkerArgs,
}

/// The flags that `run` and `dev` share.
#[derive(Debug, Clone, Args)]
pub(super) struct WorkerArgs {
    /// The file with grants, caps and defaults [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// Where compiled plugins are kept [default: pgq-host in the user's cache folder]
    #[arg(long, env = "PGQ_HOST_CACHE_DIR")]
    cache_dir: Option<PathBuf>,
    #[arg(long, env = "PGQ_HOST_BATCH_SIZE", value_parser = values::whole_number::<usize>, help = format!("The most jobs per claim [default: {DEFAULT_BATCH_SIZE}]"))]
    batch_size: Option<usize>,
    #[arg(long, env = "PGQ_HOST_MAX_CONCURRENT_TASKS", value_parser = values::whole_number::<usize>, help = format!("The most jobs that run at once in this process; 0 means the maximum, {MAX_CONCURRENT_TASKS} [default: {DEFAULT_MAX_CONCURRENT_TASKS}]"))]
    max_concurrent_tasks: Option<usize>,
    /// How jobs are claimed of plugins for which the configuration does not say [default: auto]
    #[arg(long, env = "PGQ_HOST_CLAIM", value_name = "MODE")]
    claim: Option<ClaimMode>,
    /// How much of their jobs' history is kept of plugins for which the configuration does not say
    /// [default: full]
    #[arg(long, env = "PGQ_HOST_HISTORY", value_name = "LEVEL", value_parser = ["full", "outcomes", "none"])]
    history: Option<String>,
    /// The most memory for all running guests together, like 512MiB; jobs that do not fit wait
    /// [default: three eighths of the memory]
    #[arg(long, env = "PGQ_HOST_MAX_GUEST_MEMORY", value_name = "BYTES", value_parser = parse_bytes)]
    max_guest_memory: Option<u64>,
    /// The most bytes of payloads and headers that claimed jobs may hold, like 64MiB; a larger job
    /// runs alone [default: an eighth of the memory]
    #[arg(long, env = "PGQ_HOST_MAX_CLAIMED_BYTES", value_name = "BYTES", value_parser = parse_bytes)]
    max_claimed_bytes: Option<u64>,
    #[arg(long, env = "PGQ_HOST_SQL_SESSIONS", value_name = "N", value_parser = values::whole_number::<usize>, help = format!("The most sessions of the database that handlers have at once, beside the host's own [default: {DEFAULT_SESSIONS}]"))]
    sql_sessions: Option<usize>,
    #[arg(long, env = "PGQ_HOST_DEQUEUE_TIMEOUT", value_parser = parse_duration, help = format!("The longest wait between two polls of the queue, in seconds; {} if nothing wakes the worker [default: {}]", POLLING_DEQUEUE_TIMEOUT.as_secs(), DEFAULT_DEQUEUE_TIMEOUT.as_secs()))]
    dequeue_timeout: Option<Duration>,
    #[arg(long, env = "PGQ_HOST_HEARTBEAT_TIMEOUT", value_parser = parse_duration, help = format!("Seconds without a heartbeat after which a worker's jobs are run by others; the same on all workers of a queue [default: {}]", DEFAULT_HEARTBEAT_TIMEOUT.as_secs()))]
    heartbeat_timeout: Option<Duration>,
    #[arg(long, env = "PGQ_HOST_DRAIN_TIMEOUT", value_parser = parse_duration, help = format!("Seconds that running jobs have to finish at a stop; after that they are interrupted and requeued, and the attempt does not count [default: {}]", DEFAULT_DRAIN_TIMEOUT.as_secs()))]
    drain_timeout: Option<Duration>,
    #[arg(long, env = "PGQ_HOST_LOG_AGGREGATION_INTERVAL", value_parser = parse_duration, help = format!("Seconds between two counts of the log into the statistics; 0 leaves that to other hosts [default: {}]", DEFAULT_LOG_AGGREGATION_INTERVAL.as_secs()))]
    log_aggregation_interval: Option<Duration>,
    /// Run until stopped, or until no job is left
    #[arg(long, default_value = "continuous", env = "PGQ_HOST_MODE")]
    mode: worker::Mode,
    /// Stop (and exit with 1) when the listening connection is lost, instead of polling until it is
    /// back
    #[arg(long, env = "PGQ_HOST_SHUTDOWN_ON_LISTENER_FAILURE")]
    shutdown_on_listener_failure: bool,
    /// What this host must have to be ready, besides what other hosts serve of the files that are
    /// refused here
    #[arg(long, env = "PGQ_HOST_REQUIRE", value_delimiter = ',', value_name = "WHAT")]
    require: Vec<Requirement>,
    /// Serve /healthz, /readyz and /metrics (for Prometheus) at this address
    #[arg(long, env = "PGQ_HOST_LISTEN", value_parser = values::address, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Runs that take so many seconds are traced even where their traces are not sampled; 0 keeps none
    /// for its length. Where traces go, OTEL_* variables say [default: 10]
    #[arg(long, env = "PGQ_HOST_TRACE_SLOW", value_name = "SECONDS", value_parser = parse_duration)]
    trace_slow: Option<Duration>,
    #[command(flatten)]
    pub(super) logging: LoggingArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: RunArgs) -> anyhow::Result<()> {
    args.worker.logging.install()?;
    let mut signals = Signals::install()?;
    let config = Config::load(args.worker.config.as_deref()).or_usage()?;
    let sources = args.sources(&config)?;
    let mut settings = args.worker.settings(config, sources, database.database()?, database.names()?)?;
    loop {
        match app::run(settings.clone(), &mut signals).await {
            // After a signal to stop, the worker stays stopped, however it ended.
            Err(error) if args.restart_on_failure && !signals.received() => {
                tracing::error!(error = %told(error.as_ref()), restart_in_ms = args.restart_delay.as_millis(), "the worker ended with an error");
                tokio::select! {
                    () = tokio::time::sleep(args.restart_delay) => {}
                    _ = signals.next() => return Ok(()),
                }
                // Grants may have been revoked since the start.
                settings.folder = settings.reread.read().await?;
            }
            ended => return ended,
        }
    }
}

impl RunArgs {
    /// Where plugins come from, with the digests of the lock file where they are asked for.
    fn sources(&self, config: &Config) -> anyhow::Result<PluginSources> {
        let places = if self.plugins.is_empty() { config.run.plugins.0.clone() } else { self.plugins.clone() };
        if places.is_empty() {
            return Err(usage(NO_FOLDER));
        }
        let configured = config.run.registry_interval.map(Duration::try_from_secs_f64).transpose();
        let configured =
            configured.context("registry-interval in the configuration is not a number of seconds").or_usage()?;
        let interval = self.registry_interval.or(configured).unwrap_or(DEFAULT_REGISTRY_INTERVAL);
        if interval < Duration::from_secs(1) {
            return Err(usage("registry-interval must be 1 second or more"));
        }
        let mut sources = PluginSources::new(places, interval, self.registries.insecure(config));
        if self.locked {
            sources.references = LockFile::read(&self.lock_file)?.pin(&sources.references)?;
        }
        Ok(sources)
    }
}

impl WorkerArgs {
    /// Flags and environment take precedence over the file, and the file over the defaults. All
    /// mistakes are reported at once.
    pub(super) fn settings(
        &self,
        config: Config,
        sources: PluginSources,
        database: Database,
        names: Names,
    ) -> anyhow::Result<app::Settings> {
        let (mut mistakes, config) = (Vec::new(), self.over(config));
        let mut time = |flag: Option<Duration>, file: Option<f64>, default: Duration, name: &str, zero: bool| {
            let time = flag.or_else(|| match file.map(Duration::try_from_secs_f64)? {
                Ok(time) => Some(time),
                Err(_) => {
                    mistakes.push(format!("{name} in the configuration is not a number of seconds"));
                    None
                }
            });
            let time = time.unwrap_or(default);
            if time.is_zero() && !zero {
                mistakes.push(format!("{name} is 0; it must be longer than 0 seconds"));
            }
            time
        };
        let deaf = database.transaction_pooling && database.direct.is_none();
        let look = if deaf { POLLING_DEQUEUE_TIMEOUT } else { DEFAULT_DEQUEUE_TIMEOUT };
        let dequeue_timeout = time(self.dequeue_timeout, config.run.dequeue_timeout, look, "dequeue-timeout", false);
        let heartbeat_timeout = time(
            self.heartbeat_timeout,
            config.run.heartbeat_timeout,
            DEFAULT_HEARTBEAT_TIMEOUT,
            "heartbeat-timeout",
            false,
        );
        let drain_timeout =
            time(self.drain_timeout, config.run.drain_timeout, DEFAULT_DRAIN_TIMEOUT, "drain-timeout", true);
        let log_aggregation_interval = time(
            self.log_aggregation_interval,
            config.run.log_aggregation_interval,
            DEFAULT_LOG_AGGREGATION_INTERVAL,
            "log-aggregation-interval",
            true,
        );
        let batch_size = self.batch_size.or(config.run.batch_size).unwrap_or(DEFAULT_BATCH_SIZE);
        if !(1..=10_000).contains(&batch_size) {
            mistakes.push(format!("batch-size is {batch_size}; it must be from 1 to 10000"));
        }
        let tasks =
            self.max_concurrent_tasks.or(config.run.max_concurrent_tasks).unwrap_or(DEFAULT_MAX_CONCURRENT_TASKS);
        if tasks > MAX_CONCURRENT_TASKS {
            mistakes.push(format!(
                "max-concurrent-tasks is {tasks}; it must be up to {MAX_CONCURRENT_TASKS}: start more hosts for more"
            ));
        }
        let max_guest_memory =
            self.max_guest_memory.or(config.run.max_guest_memory).unwrap_or_else(default_guest_memory);
        if max_guest_memory < MIN_GUEST_MEMORY {
            mistakes.push(format!(
                "max-concurrent-tasks is {tasks}; it must be at most {MAX_CONCURRENT_TASKS}: start more hosts for more"
            ));
        }
        let max_claimed_bytes = self
            .max_claimed_bytes
            .or(config.run.max_claimed_bytes)
            .unwrap_or_else(|| ByteBudget::default_bytes(host_memory::limit()));
        if max_claimed_bytes == 0 {
            mistakes
                .push("max-claimed-bytes is 0; it must be greater, or leave it out for an eighth of the memory".into());
        }
        let sql_sessions = self.sql_sessions.or(config.run.sql_sessions).unwrap_or(DEFAULT_SESSIONS);
        if sql_sessions == 0 {
            mistakes.push("sql-sessions is 0; a handler that may use the database needs one".into());
        }
        let shutdown_on_listener_failure =
            self.shutdown_on_listener_failure || config.run.shutdown_on_listener_failure.unwrap_or_default();
        if deaf && shutdown_on_listener_failure {
            mistakes
                .push("shutdown-on-listener-failure needs a listener, which --transaction-pooling does not allow without --listen-dsn".into());
        }
        let traces = TraceSettings::read(&|name| environment::variable(name)).unwrap_or_else(|wrong| {
            mistakes.extend(wrong);
            None
        });
        let mut keep_traces = config.keep_traces;
        keep_traces.slow = self.trace_slow.map_or(keep_traces.slow, slow_of);
        if !mistakes.is_empty() {
            return Err(usage(mistakes.join("\n")));
        }
        let cache = self.cache_dir.clone().or(config.run.cache_dir.clone()).map_or_else(default_cache_dir, Ok)?;
        let (paths, mirror) = sources.at(&cache, config.caps.plugin_size);
        let entry = AccessSettings::from_environment().and_then(|settings| settings.over(&config.web)).or_usage()?;
        let keyring = Keyring::new(config.sealing.clone());
        Ok(app::Settings {
            database,
            names,
            reread: self.reread(paths.clone(), keyring.clone()),
            keyring,
            folder: config.folder(paths),
            mirror,
            breaker: config.breaker,
            retention: config.retention,
            cache: Some(cache),
            max_guest_memory: usize::try_from(max_guest_memory).unwrap_or(usize::MAX),
            max_concurrent_tasks: if tasks == 0 { MAX_CONCURRENT_TASKS } else { tasks },
            max_claimed_bytes,
            sql_sessions,
            heartbeat_timeout,
            drain_timeout,
            log_aggregation_interval,
            require: if self.require.is_empty() { config.run.require } else { self.require.clone() },
            listen: self.listen.or(config.run.listen),
            entry,
            traces,
            keep_traces,
            worker: worker::Settings { batch_size, dequeue_timeout, mode: self.mode, shutdown_on_listener_failure },
        })
    }

    fn reread(&self, plugins: Vec<PathBuf>, keyring: Keyring) -> Reread {
        let args = self.clone();
        Reread::by(move || {
            let config = args.over(Config::load(args.config.as_deref())?);
            keyring.replace(config.sealing.clone()).map_err(anyhow::Error::msg)?;
            Ok(config.folder(plugins.clone()))
        })
    }

    /// What the flags say of plugins, over the file.
    fn over(&self, config: Config) -> Config {
        let claims = Chosen { all: self.claim.unwrap_or(config.claims.all), ..config.claims };
        let level = self.history.as_deref().and_then(HistoryLevel::of_label);
        let history = Chosen { all: level.unwrap_or(config.history.all), ..config.history };
        Config { claims, history, ..config }
    }
}

/// Three eighths of the memory that this process may use. The rest is for payloads and outcomes in
/// transit with their copies (an eighth each), for compiled code, and for compilers, which are
/// processes in the same container.
fn default_guest_memory() -> u64 {
    (host_memory::limit() / 8 * 3).max(MIN_GUEST_MEMORY)
}

pub(super) fn default_cache_dir() -> anyhow::Result<PathBuf> {
    let folder = |key: &str| std::env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    // systemd's CacheDirectory= comes first, because a service has no home.
    let base = folder("CACHE_DIRECTORY")
        .or_else(|| folder("XDG_CACHE_HOME"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")));
    let base = base.context("no cache folder is known (HOME is not set); name one with --cache-dir").or_usage()?;
    Ok(base.join("pgq-host").join("code"))
}

//! `bench`: selects the scenarios and the database, and prints the table.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::database::DatabaseArgs;
use super::run::RunArgs;
use super::usage::OrUsage as _;
use super::{output, run};
use crate::signal::Signals;
use pgq_bench::{
    self as bench, Database, Environment, Figures, Handler, Row, Scenario, Settings, Wanted, measure, noise,
};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// What to measure [default: drain latency]
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    /// Every scenario; takes a few minutes
    #[arg(long, conflicts_with = "scenarios")]
    all: bool,
    /// Jobs in one measurement
    #[arg(long, default_value = "20000", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: u32,
    /// How often each scenario is run, in turns; the table shows the median
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Host processes [default: 1; fleet: 4]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    hosts: Option<u16>,
    /// Jobs per second, for the scenario sustained
    #[arg(long, default_value = "2000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Rows (wide: entrypoints) that the scenario is about [default: 1000000; in-flight: 50000;
    /// wide: 1000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    size: Option<u64>,
    /// Random bytes in the payload of every job
    #[arg(long, default_value = "16")]
    payload_bytes: usize,
    /// A file with the payload of every job, for a handler of your own
    #[arg(long, value_name = "FILE", conflicts_with = "payload_bytes")]
    payload_file: Option<PathBuf>,
    /// Keep instances from one job to the next
    #[arg(long, conflicts_with = "plugins")]
    reuse: bool,
    /// The folder of the plugin to measure [default: one that reads its payload and returns]
    #[arg(long, requires = "entrypoint")]
    plugins: Option<PathBuf>,
    /// The entrypoint to measure
    #[arg(long, requires = "plugins")]
    entrypoint: Option<String>,
    /// Use a private PostgreSQL even though a database is configured
    #[arg(long)]
    embedded: bool,
    /// Where the private PostgreSQL keeps its data while it runs [default: the directory for
    /// temporary files]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Options of `run` for the hosts, such as `-- --batch-size 10`
    #[arg(last = true, value_name = "OPTIONS")]
    worker: Vec<OsString>,
}

pub(super) async fn run(database: &DatabaseArgs, args: BenchArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let scenarios = args.scenarios();
    let settings = args.settings()?;
    bench::check(&settings, &scenarios).or_usage()?;
    let wanted = args.wanted(database).await?;
    let hosts = scenarios.iter().map(|scenario| scenario.hosts(settings.hosts)).max().unwrap_or(1);
    if cfg!(debug_assertions) {
        output::status("This is a debug build; a release build is faster.");
    }
    // Dropping either future ends the processes that it started.
    let environment = tokio::select! {
        environment = Environment::open(wanted, hosts) => environment?,
        name = signals.next() => bail!("{name}: stopped before anything was measured"),
    };
    let measured = tokio::select! {
        measured = measure(&environment, &settings, &scenarios) => measured,
        name = signals.next() => Err(anyhow::anyhow!("{name}: stopped; everything created for the bench was removed")),
    };
    let closed = environment.close().await;
    let (database, rows) = measured?;
    closed?;
    if args.json { print_json(&database, &settings, &rows) } else { print_table(&rows) }
}

/// `run`, for as long as the bench lives.
pub(super) async fn worker(database: &DatabaseArgs, args: RunArgs) -> anyhow::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .context("cannot ask the kernel to end this worker with the bench")?;
    run::run(database, args).await
}

async fn measure(
    environment: &Environment,
    settings: &Settings,
    scenarios: &[Scenario],
) -> anyhow::Result<(Database, Vec<Row>)> {
    let database = environment.database().await?;
    let Database { version, fsync, synchronous_commit, private } = &database;
    let whose =
        if *private { "a private one".to_owned() } else { format!("the one given, schema {}", environment.schema()) };
    output::status(&format!("PostgreSQL {version}, {whose}; fsync {fsync}, synchronous_commit {synchronous_commit}"));
    Ok((database, bench::run(environment, settings, scenarios, &output::status).await?))
}

impl BenchArgs {
    fn scenarios(&self) -> Vec<Scenario> {
        if self.all {
            return <Scenario as clap::ValueEnum>::value_variants().to_vec();
        }
        if self.scenarios.is_empty() { vec![Scenario::Drain, Scenario::Latency] } else { self.scenarios.clone() }
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let handler = match (&self.plugins, &self.entrypoint) {
            (Some(plugins), Some(entrypoint)) => {
                Handler::User { plugins: plugins.clone(), entrypoint: entrypoint.clone() }
            }
            _ => Handler::BuiltIn { reuse: self.reuse },
        };
        let payload = match &self.payload_file {
            Some(file) => std::fs::read(file).with_context(|| format!("cannot read the payload {}", file.display()))?,
            None => noise(self.payload_bytes),
        };
        Ok(Settings {
            binary: std::env::current_exe().context("cannot find the running binary")?,
            rounds: self.rounds.try_into()?,
            jobs: self.jobs.into(),
            hosts: self.hosts.map(Into::into),
            rate: self.rate,
            size: self.size,
            payload,
            handler,
            arguments: self.worker.clone(),
        })
    }

    /// The database to measure. A database configured for the other verbs, by a DSN or by libpq's
    /// variables, is used here, too.
    async fn wanted(&self, database: &DatabaseArgs) -> anyhow::Result<Wanted> {
        let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let variables = database.environment();
        if self.embedded
            || (variables.is_empty() && !["PGHOST", "PGHOSTADDR", "PGDATABASE", "PGSERVICE"].into_iter().any(named))
        {
            return Ok(Wanted::Private(self.data_dir.clone()));
        }
        Ok(Wanted::Given(Box::new(database.session()?), variables))
    }
}

fn print_json(database: &Database, settings: &Settings, rows: &[Row]) -> anyhow::Result<()> {
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "debug_build": cfg!(debug_assertions),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "database": database,
        "rounds": settings.rounds,
        "results": rows,
    });
    output::data(&report.to_string())
}

fn print_table(rows: &[Row]) -> anyhow::Result<()> {
    const HEAD: [&str; 14] = [
        "Scenario",
        "Case",
        "Jobs",
        "Jobs/s",
        "Timed",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "p99 / empty",
        "Host CPU",
        "PG CPU",
        "WAL",
        "Txns",
        "Dead",
    ];
    let lines = rows.iter().map(|row| {
        let cell = |name: &str| text(&row.median, name);
        [
            row.scenario.to_owned(),
            row.case.clone(),
            cell(measure::JOBS),
            cell(measure::JOBS_PER_SECOND),
            row.timed.to_owned(),
            cell(measure::P50),
            cell(measure::P95),
            cell(measure::P99),
            cell(measure::P99_RATIO),
            cell(measure::HOST_CPU),
            cell(measure::POSTGRES_CPU),
            cell(measure::WAL),
            cell(measure::TRANSACTIONS),
            cell(measure::DEAD_TUPLES),
        ]
    });
    output::table(HEAD, lines, "Nothing was measured.")?;
    output::status(
        "CPU: seconds per 1,000 jobs. WAL: bytes per job, enqueueing and statistics included. Txns, Dead: per job.",
    );
    Ok(())
}

/// Three significant digits.
fn text(figures: &Figures, name: &str) -> String {
    let Some(value) = figures.get(name) else { return String::new() };
    let decimals = if value >= 100.0 || (value.fract() == 0.0 && value >= 1.0) {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        4
    };
    format!("{value:.decimals$}")
}

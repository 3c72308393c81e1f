//! `dev`: a worker with its own PostgreSQL, from nothing to running jobs in one command.

mod sources;
mod watch;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::FutureExt as _;
use futures_util::future::try_join;
use sqlx::Connection as _;

use self::sources::Sources;
use super::database::DatabaseArgs;
use super::plugin_sources::PluginSources;
use super::run::WorkerArgs;
use super::usage::OrUsage as _;
use super::values;
use crate::app;
use crate::config::Config;
use crate::signal::Signals;
use pgq_embedded::{self as embedded, Server};
use pgq_queue::Source;
use pgq_queue::names::Names;
use pgq_queue::schema::{self, UpgradeOptions};

/// The name of the database in the private server.
const DATABASE: &str = "pgq";
/// Stored beside the data, for `PGDSN=$(cat .pgq-host/dsn)`.
const DSN_FILE: &str = "dsn";

#[derive(Debug, Args)]
pub(super) struct DevArgs {
    /// The folder of plugins: every *.wasm in it is loaded
    #[arg(long, env = "PGQ_HOST_PLUGINS", default_value = "plugins")]
    plugins: PathBuf,
    /// Build the plugin of this source folder now and whenever a file of it is saved; may be given
    /// several times
    #[arg(long = "source", value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Where the private PostgreSQL keeps its data
    #[arg(long, default_value = ".pgq-host", env = "PGQ_HOST_DATA_DIR")]
    data_dir: PathBuf,
    /// The port it listens on, at 127.0.0.1 [default: the previous one, or a free one]
    #[arg(long, env = "PGQ_HOST_DEV_PORT", value_parser = values::port)]
    port: Option<u16>,
    #[command(flatten)]
    worker: WorkerArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: DevArgs) -> anyhow::Result<()> {
    args.worker.logging.install()?;
    // Report what can be wrong without a database before starting one.
    let (config, names) = (Config::load(args.worker.config.as_deref()).or_usage()?, database.names()?);
    if !args.sources.is_empty() {
        let plugins = &args.plugins;
        std::fs::create_dir_all(plugins)
            .with_context(|| format!("cannot create the plugins folder {}", plugins.display()))?;
    } else if !args.plugins.is_dir() {
        bail!(
            "the plugins folder {} does not exist; create it, or name another with --plugins",
            args.plugins.display()
        );
    }
    let mut signals = Signals::install()?;
    let mut sources = Sources::watch(&args.sources, &args.plugins)?;
    let mut settings = embedded::Settings::new(&args.data_dir);
    settings.port = args.port;
    // If it is dropped half-way, a start leaves no process behind, and the next one starts over.
    let server = tokio::select! {
        both = try_join(embedded::start(settings), sources.build().map(Ok)) => both?.0,
        name = signals.next() => return interrupted(name),
    };
    let result = serve(&server, &args, sources, config, names, signals).await;
    server.stop().await;
    result
}

async fn serve(
    server: &Server,
    args: &DevArgs,
    mut sources: Sources,
    config: Config,
    names: Names,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let source = tokio::select! {
        source = prepare(server, args, &names) => source?,
        name = signals.next() => return interrupted(name),
    };
    let settings = args.worker.settings(config, PluginSources::folder(args.plugins.clone()), source.into(), names)?;
    tokio::select! {
        result = app::run(settings, &mut signals) => result,
        never = sources.keep() => match never {},
        log = server.ended() => bail!("the private PostgreSQL ended unexpectedly:\n{log}"),
    }
}

/// Create the database and its tables, and say how to connect.
async fn prepare(server: &Server, args: &DevArgs, names: &Names) -> anyhow::Result<Source> {
    server.create_database_if_missing(DATABASE).await?;
    let dsn = server.dsn(DATABASE);
    let source = Source::alone(&dsn).map_err(anyhow::Error::msg)?;
    let mut connection = source.connect().await.context("cannot connect to the private PostgreSQL")?;
    schema::upgrade(&mut connection, names, &UpgradeOptions { widen_id: true }).await?;
    connection.close().await?;
    // Last, and whole: scripts wait for the file and enqueue at once.
    let dsn_file = write_dsn(&args.data_dir, &dsn)?;
    tracing::info!(
        port = server.port(),
        data_dir = %server.data_dir().display(),
        taken_over = server.taken_over(),
        "PostgreSQL listens on 127.0.0.1; export PGDSN=$(cat {}) to reach it from another terminal",
        dsn_file.display(),
    );
    Ok(source)
}

/// Stopping before anything ran loses nothing, so it is a success.
fn interrupted(signal: &str) -> anyhow::Result<()> {
    tracing::info!(signal, "stopped during the start");
    Ok(())
}

/// The file holds the password, so only its owner may read it.
fn write_dsn(folder: &Path, dsn: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(DSN_FILE);
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let draft = folder.join("dsn.new");
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        writeln!(file, "{dsn}")?;
        std::fs::rename(draft, &path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    // For a terminal whose folder is another.
    Ok(std::path::absolute(&path).unwrap_or(path))
}

//! `mcp`: the queue for assistants, by the Model Context Protocol on standard input and output.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::database::DatabaseArgs;
use super::logging::LoggingArgs;
use super::output;
use super::usage::OrUsage as _;
use crate::config::Config;
use crate::signal::Signals;
use crate::version;
use pgq_mcp::{Server, Settings, serve};
use pgq_queue::Operator;

/// Sessions at most: as many as calls are answered at a time.
const SESSIONS: usize = 4;
/// How long the server may take for a statement.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct McpArgs {
    /// Show payloads, headers, outputs and what runs printed; without it they are withheld
    #[arg(long, env = "PGQ_HOST_MCP_PAYLOADS")]
    payloads: bool,
    /// How long an answer may be, in KiB
    #[arg(long, default_value_t = 256, value_name = "KIB", value_parser = clap::value_parser!(u32).range(4..=16_384))]
    max_answer: u32,
    /// The file with the masks of [web] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    logging: LoggingArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: McpArgs) -> anyhow::Result<()> {
    args.logging.install()?;
    let masks = Config::masks(args.config.as_deref()).or_usage()?;
    let longest = database.statement_timeout.unwrap_or(LONGEST);
    let (names, database) = (database.names()?, database.database()?);
    let mut signals = Signals::install()?;
    // The database may come later: each call says whether it is there.
    let pool = database.for_reading(SESSIONS, longest).or_usage()?;
    if std::io::stdin().is_terminal() {
        output::status(
            "This speaks the Model Context Protocol on standard input and output: a client starts it (docs/mcp.md). \
             Ctrl-C ends it.",
        );
    }
    let settings = Settings {
        shows_contents: args.payloads,
        most_bytes: args.max_answer as usize * 1024,
        version: version::BUILD.to_owned(),
    };
    let server = Server::new(Operator::new(pool.clone(), names).masking(masks), settings);
    let stop = CancellationToken::new();
    let serving = serve(server, stop.clone());
    let ended = tokio::select! {
        ended = serving => ended,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            stop.cancel();
            Ok(())
        }
    };
    pool.close().await;
    Ok(ended?)
}

//! `dashboard`: what goes on, on the whole screen; as plain text or JSON where there is none.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pgq_terminal::{Live, Snapshot, live, plain};

use super::database::{DatabaseArgs, explain};
use super::output;
use super::usage::OrUsage as _;
use crate::config::{Config, parse_duration};
use pgq_queue::environment::{system_user, variable};
use pgq_queue::{Operator, pool_size};

/// Between two looks, as between two of the page.
const INTERVAL: Duration = Duration::from_secs(2);
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct DashboardArgs {
    /// Seconds between two looks; what is printed is printed again after them [default: on the screen 2]
    #[arg(short, long, value_name = "TIME", value_parser = parse_interval)]
    interval: Option<Duration>,
    /// The most rows of a list that is printed
    #[arg(short = 'n', long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print it once as text, also where there is a screen
    #[arg(long, conflicts_with = "interval")]
    once: bool,
    /// Print a JSON object instead: `at`, `overview`, `failures`, `fleet`, `pauses`
    #[arg(long)]
    json: bool,
    /// Who changes things, for the audit [default: the system's user]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// The file with the masks of [web] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval < LEAST_INTERVAL { Err("at least a tenth of a second, like 0.1".into()) } else { Ok(interval) }
}

/// Whether somebody sits in front of a screen that can be drawn on.
fn has_screen() -> bool {
    let is_dumb = variable("TERM").is_some_and(|kind| kind == "dumb");
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !is_dumb
}

pub(super) async fn run(database: &DatabaseArgs, args: DashboardArgs) -> anyhow::Result<()> {
    let masks = Config::masks(args.config.as_deref()).or_usage()?;
    if args.once || args.json || !has_screen() {
        return print(&database.operator().await?, &args).await;
    }
    // Somebody at a terminal wants to know now whether the database can be reached, and later soon.
    database.pool().await?.close().await;
    let most = pool_size().map_err(anyhow::Error::msg).or_usage()?;
    let source = database.database()?;
    let place = format!("{} at {}", source.source.database(), source.source);
    let operator = Operator::new(source.for_pages(most).or_usage()?, database.names()?).masking(masks);
    live(Live {
        operator,
        author: args.author.or_else(system_user).unwrap_or_else(|| "unknown".into()),
        place,
        interval: args.interval.unwrap_or(INTERVAL),
        colors: variable("NO_COLOR").is_none(),
    })
    .await
}

async fn print(operator: &Operator, args: &DashboardArgs) -> anyhow::Result<()> {
    loop {
        let look = Snapshot::read(operator).await.map_err(explain)?;
        let lines = if args.json { serde_json::to_string(&look)? } else { plain(&look, args.limit as usize) };
        for line in lines.lines() {
            if !output::line(line)? {
                return Ok(());
            }
        }
        match args.interval {
            Some(interval) => tokio::time::sleep(interval).await,
            None => return Ok(()),
        }
        if !args.json && !output::line("")? {
            return Ok(());
        }
    }
}

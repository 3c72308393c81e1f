//! `prune`: removes old rows, or says which would go, for a cron of one's own.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::database::{DatabaseArgs, explain};
use super::output;
use super::usage::OrUsage as _;
use super::values;
use crate::config::{Config, parse_duration};
use crate::retention::{self, Bounds, DEFAULT_BATCH, Ended, MAX_BATCH};
use crate::signal::Signals;
use pgq_queue::{Judged, PrunedTable, Pruner, Retention};

/// A plan reads for no longer, unless it is told to.
const PLAN: Duration = Duration::from_secs(10);
/// Between two lines about the progress.
const TELL: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["plan", "apply"]))]
pub(super) struct PruneArgs {
    /// Print what would go; change nothing
    #[arg(long)]
    plan: bool,
    /// Remove it
    #[arg(long)]
    apply: bool,
    /// The file with [retention] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    #[arg(long, value_name = "ROWS", value_parser = values::whole_number::<usize>, help = format!("The most rows that a batch looks at [default: {DEFAULT_BATCH}]"))]
    batch: Option<usize>,
    /// Stop after this time, in seconds; what is left is for the next run [default: 10 for a plan,
    /// otherwise no limit]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Line {
    table: &'static str,
    entrypoint: Option<String>,
    outcome: Option<String>,
    /// `null`: the rows were left over from other rules.
    kept_seconds: Option<u64>,
    rows: u64,
    /// Whether all of them were found.
    complete: bool,
    oldest: Option<DateTime<Utc>>,
}

type Kind = (PrunedTable, Option<String>, Option<String>);

#[derive(Debug, Default)]
struct Found {
    rows: BTreeMap<Kind, (u64, Option<DateTime<Utc>>)>,
    uncounted: u64,
}

pub(super) async fn run(database: &DatabaseArgs, args: PruneArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let batch = args.batch.unwrap_or(DEFAULT_BATCH);
    if !(1..=MAX_BATCH).contains(&batch) {
        return Err(super::usage::usage(format!("--batch is {batch}; it must be from 1 to {MAX_BATCH}")));
    }
    let retention = Config::load(args.config.as_deref()).or_usage()?.retention;
    if !retention.prunes(PrunedTable::Log) {
        output::status("The log is kept for ever: [retention] in the configuration does not say for how long.");
    }
    let pruner = Pruner::new(database.pool().await?, &database.names()?);
    let bounds = Bounds {
        batch,
        until: args.time.or(args.plan.then_some(PLAN)).map(|time| Instant::now() + time),
        stop: CancellationToken::new(),
    };
    let stop = bounds.stop.clone();
    let work = async {
        if args.plan {
            plan(&pruner, &retention, &bounds, args.json).await
        } else {
            apply(&pruner, &retention, &bounds, args.json).await
        }
    };
    until_stopped(&mut signals, &stop, work).await
}

/// A batch that has begun ends.
async fn until_stopped<T>(signals: &mut Signals, stop: &CancellationToken, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        _ = signals.next() => stop.cancel(),
    }
    work.await
}

async fn plan(pruner: &Pruner, retention: &Retention, bounds: &Bounds, json: bool) -> anyhow::Result<()> {
    let mut found = Found::default();
    let open = retention::survey(pruner, retention, bounds, |walk, judged| {
        // Rows of another age are in front of this walk, too.
        let own = |kind: &Kind| retention.kept(kind.0, kind.1.as_deref(), kind.2.as_deref()) == Some(walk.age);
        found.add(walk.table, judged, own);
    });
    let open = open.await.map_err(explain)?;
    let is_open = |kind: &Kind| {
        let kept = retention.kept(kind.0, kind.1.as_deref(), kind.2.as_deref());
        open.iter().any(|walk| walk.table == kind.0 && kept == Some(walk.age))
    };
    found.print(retention, json, "Nothing is old enough to go.", is_open)?;
    if !open.is_empty() {
        output::status("The time was over before everything was read: --for gives it more. Some rows may be missing.");
    }
    Ok(())
}

async fn apply(pruner: &Pruner, retention: &Retention, bounds: &Bounds, json: bool) -> anyhow::Result<()> {
    let (mut found, mut removed, mut told_at) = (Found::default(), 0, Instant::now());
    let ended = retention::pass(pruner, retention, bounds, None, |table, judged, gone| {
        found.add(table, judged, |_| true);
        removed += gone;
        if told_at.elapsed() > TELL {
            told_at = Instant::now();
            output::status(&format!("{removed} row(s) removed; at the {} table.", table.label()));
        }
    });
    let ended = ended.await.map_err(explain)?;
    if ended == Ended::Elsewhere && removed == 0 {
        bail!("a host or another command is removing old rows, and one does at a time; nothing was removed here");
    }
    found.print(retention, json, "Nothing was old enough to go.", |_| ended != Ended::Complete)?;
    output::status(&match ended {
        Ended::Complete | Ended::Recent => format!("Removed {removed} row(s)."),
        Ended::Elsewhere => format!("Removed {removed} row(s); somebody else goes on."),
        Ended::Stopped => format!("Removed {removed} row(s), and stopped; the next run goes on from here."),
    });
    Ok(())
}

impl Found {
    fn add(&mut self, table: PrunedTable, judged: &Judged, wanted: impl Fn(&Kind) -> bool) {
        self.uncounted += judged.uncounted;
        for doomed in &judged.doomed {
            let kind = (table, doomed.entrypoint.clone(), doomed.outcome.clone());
            if wanted(&kind) {
                let (rows, oldest) = self.rows.entry(kind).or_default();
                *rows += doomed.rows;
                *oldest = [*oldest, doomed.oldest].into_iter().flatten().min();
            }
        }
    }

    fn print(
        self,
        retention: &Retention,
        json: bool,
        none: &str,
        is_open: impl Fn(&Kind) -> bool,
    ) -> anyhow::Result<()> {
        if self.uncounted > 0 {
            output::status(&format!(
                "{} row(s) of the log are old enough and stay: they are not counted into the statistics yet.",
                self.uncounted
            ));
        }
        let line = |(kind, (rows, oldest)): (Kind, (u64, Option<DateTime<Utc>>))| {
            let kept = retention.kept(kind.0, kind.1.as_deref(), kind.2.as_deref());
            let complete = !is_open(&kind);
            let (table, entrypoint, outcome) = (kind.0.label(), kind.1, kind.2);
            Line { table, entrypoint, outcome, kept_seconds: kept.map(|kept| kept.as_secs()), rows, complete, oldest }
        };
        let lines: Vec<Line> = self.rows.into_iter().map(line).collect();
        if json {
            return output::json(&lines);
        }
        let cells = lines.into_iter().map(|line| {
            let kept = line.kept_seconds.map(|seconds| humantime::format_duration(Duration::from_secs(seconds)));
            [
                line.table.to_owned(),
                line.entrypoint.unwrap_or_else(|| "(all)".into()),
                line.outcome.unwrap_or_else(|| "(all)".into()),
                kept.map(|kept| kept.to_string()).unwrap_or_default(),
                format!("{}{}", if line.complete { "" } else { "at least " }, line.rows),
                line.oldest.map(output::time).unwrap_or_default(),
            ]
        });
        output::table(["Table", "Entrypoint", "Outcome", "Kept for", "Rows", "Oldest"], cells, none)
    }
}

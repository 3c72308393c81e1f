//! `failed`, `stale`, `workers`, `backlog`: what is in the queue.

use std::time::Duration;

use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;
use crate::config::parse_duration;

/// Enough of an error to recognize it.
const ERROR_CHARACTERS: usize = 60;

#[derive(Debug, Args)]
pub(super) struct FailedArgs {
    /// The most jobs to show
    #[arg(short = 'n', long, default_value_t = 25, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Show errors whole, however long they are
    #[arg(long)]
    wide: bool,
    /// Print a JSON array with PgQueuer's fields and the whole error; of a payload only its size
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StaleArgs {
    /// Seconds since the last heartbeat (or 15m, 2h, ...) after which a running job counts as stale
    #[arg(short, long, default_value = "300", value_parser = parse_duration)]
    threshold: Duration,
    /// The most jobs to show
    #[arg(short = 'n', long, default_value_t = 25, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print a JSON array with PgQueuer's fields
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct JsonArgs {
    /// Print a JSON array with PgQueuer's fields
    #[arg(long)]
    json: bool,
}

pub(super) async fn failed(database: &DatabaseArgs, args: FailedArgs) -> anyhow::Result<()> {
    let jobs = database.operator().await?.failed(args.limit).await.map_err(explain)?;
    if args.json {
        return output::json(&jobs);
    }
    let rows = jobs.into_iter().map(|job| {
        let error = if args.wide { job.error } else { output::short(&job.error, ERROR_CHARACTERS) };
        [
            job.id.to_string(),
            job.entrypoint,
            job.attempts.to_string(),
            output::time(job.created),
            job.payload_bytes.to_string(),
            error,
        ]
    });
    output::table(["ID", "Entrypoint", "Attempts", "Created", "Payload bytes", "Last error"], rows, "No failed jobs.")
}

pub(super) async fn stale(database: &DatabaseArgs, args: StaleArgs) -> anyhow::Result<()> {
    let jobs = database.operator().await?.stale(args.threshold, args.limit).await.map_err(explain)?;
    if args.json {
        return output::json(&jobs);
    }
    let rows = jobs.into_iter().map(|job| {
        [
            job.id.to_string(),
            job.entrypoint,
            job.queue_manager_id.map(|id| id.to_string()).unwrap_or_default(),
            output::time(job.heartbeat),
            format!("{:.0}", job.seconds_since_heartbeat),
        ]
    });
    output::table(["ID", "Entrypoint", "Worker", "Heartbeat", "Seconds since heartbeat"], rows, "No stale jobs.")
}

pub(super) async fn workers(database: &DatabaseArgs, args: JsonArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let workers = operator.workers().await.map_err(explain)?;
    if args.json {
        return output::json(&workers);
    }
    let rows = workers.into_iter().map(|worker| {
        [
            worker.queue_manager_id.to_string(),
            worker.host.unwrap_or_else(|| "-".into()),
            worker.active_jobs.to_string(),
            output::time(worker.oldest_heartbeat),
            output::time(worker.newest_heartbeat),
            worker.entrypoints.join(", "),
        ]
    });
    let head = ["Worker", "Host", "Running jobs", "Oldest heartbeat", "Newest heartbeat", "Entrypoints"];
    output::table(head, rows, "No worker holds a job.")?;
    // Whoever wonders where a worker is does not find it in the table.
    for host in operator.troubles().await.map_err(explain)?.hosts {
        let since = output::time(host.died.unwrap_or(host.seen));
        output::status(&format!("The {} since {since}: {}.", host.what(), host.why()));
    }
    Ok(())
}

pub(super) async fn backlog(database: &DatabaseArgs, args: JsonArgs) -> anyhow::Result<()> {
    let backlog = database.operator().await?.backlog().await.map_err(explain)?;
    if args.json {
        return output::json(&backlog);
    }
    let rows = backlog.into_iter().map(|entry| {
        [
            entry.entrypoint,
            entry.queued_count.to_string(),
            output::time(entry.oldest_created),
            format!("{:.0}", entry.oldest_age_seconds),
            format!("{:.0}", entry.avg_age_seconds),
        ]
    });
    output::table(
        ["Entrypoint", "Queued", "Oldest created", "Oldest age (s)", "Average age (s)"],
        rows,
        "No queued jobs.",
    )
}

//! `overview`: what is going on, and what is wrong, in one screen. The page's first page as text.

use chrono::{TimeDelta, Utc};
use clap::Args;
use serde_json::json;

use super::database::{DatabaseArgs, explain};
use super::output;
use pgq_queue::{
    Amount, EntrypointLook, FailureFilter, Failures, Fleet, Operator, Overview, OverviewFilter, PauseRow, Troubles,
};

/// Causes of failures that are told.
const CAUSES: usize = 5;

#[derive(Debug, Args)]
pub(super) struct OverviewArgs {
    /// The most entrypoints to show, those in trouble first
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

struct Seen {
    overview: Overview,
    failures: Failures,
    fleet: Fleet,
    troubles: Troubles,
    pauses: Vec<PauseRow>,
}

pub(super) async fn run(database: &DatabaseArgs, args: OverviewArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let seen = look(&operator).await.map_err(explain)?;
    if args.json {
        return output::object(&json!({
            "overview": seen.overview, "failures": seen.failures, "hosts": seen.fleet, "troubles": seen.troubles,
            "pauses": seen.pauses,
        }));
    }
    troubles(&seen.troubles)?;
    for pause in &seen.pauses {
        let until = pause.until.map(|until| format!(" until {}", output::time(until))).unwrap_or_default();
        warn(&format!("paused: {} {}{until}, by {}: {}", pause.kind, pause.name, pause.author, pause.reason))?;
    }
    summary(&seen)?;
    entrypoints(&seen.overview, args.limit)?;
    causes(&seen.failures)
}

async fn look(operator: &Operator) -> sqlx::Result<Seen> {
    let filter = OverviewFilter { limit: pgq_queue::MOST_ENTRYPOINTS, ..OverviewFilter::default() };
    Ok(Seen {
        overview: operator.overview(&filter).await?,
        failures: operator.failures(&FailureFilter::default()).await?,
        fleet: operator.fleet().await?,
        troubles: operator.troubles().await?,
        pauses: if operator.knows_pauses().await? { operator.pauses().await? } else { Vec::new() },
    })
}

fn warn(text: &str) -> anyhow::Result<()> {
    output::printed_line(&format!("! {text}")).map(drop)
}

fn troubles(troubles: &Troubles) -> anyhow::Result<()> {
    for open in &troubles.transactions {
        let who = [open.role.as_deref(), Some(open.application.as_str()), open.address.as_deref()];
        let who: Vec<&str> = who.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        warn(&format!(
            "a transaction has been open for {} ({}; {}): {}. To end it: {}",
            output::span(TimeDelta::seconds(open.open_seconds)),
            open.state.as_deref().unwrap_or("open"),
            who.join(", "),
            if open.holds_back { "dead rows pile up, and claims slow down" } else { "it may hold locks" },
            open.remedy()
        ))?;
    }
    for host in &troubles.hosts {
        let ago = |at| output::span(Utc::now() - at);
        warn(&match host.died {
            Some(died) => format!(
                "host {} is gone since {}: it died or is cut off; its jobs were put back",
                host.label(),
                ago(died)
            ),
            None => format!(
                "host {} is silent: seen {} ago, holds {} job(s) until their leases are over",
                host.label(),
                ago(host.seen),
                host.jobs
            ),
        })?;
    }
    Ok(())
}

fn amount(amount: Amount) -> String {
    format!("{}{}", amount.jobs, if amount.more { "+" } else { "" })
}

fn summary(seen: &Seen) -> anyhow::Result<()> {
    let all = &seen.overview.entrypoints;
    let sum = |of: fn(&EntrypointLook) -> Amount| {
        all.iter()
            .map(of)
            .fold(Amount::default(), |sum, one| Amount { jobs: sum.jobs + one.jobs, more: sum.more || one.more })
    };
    let (ended, failed) = all.iter().fold((0, 0), |(ended, failed), one| {
        let lately = &one.lately.five_minutes;
        (ended + lately.ended(), failed + lately.failed + lately.exception)
    });
    output::data(&format!(
        "{} due, {} later, {} running, {} held; in the last 5 min {ended} ended, {failed} of them failed for good; {} host(s)",
        amount(sum(|one| one.depth.due)),
        amount(sum(|one| one.depth.deferred)),
        amount(sum(|one| one.depth.running)),
        amount(sum(|one| one.depth.held)),
        seen.fleet.hosts.len(),
    ))
}

/// Those in trouble first: with held jobs, then with the oldest due job.
fn entrypoints(overview: &Overview, limit: usize) -> anyhow::Result<()> {
    let mut all: Vec<&EntrypointLook> = overview.entrypoints.iter().collect();
    let waits = |one: &EntrypointLook| one.depth.oldest_seconds.unwrap_or_default();
    all.sort_by(|one, other| {
        let held = other.depth.held.jobs.cmp(&one.depth.held.jobs);
        held.then(waits(other).total_cmp(&waits(one))).then(one.entrypoint.cmp(&other.entrypoint))
    });
    let rows = all.iter().take(limit).map(|one| {
        let lately = &one.lately.five_minutes;
        [
            one.entrypoint.clone(),
            amount(one.depth.due),
            one.depth
                .oldest_seconds
                .map(|seconds| output::span(TimeDelta::milliseconds((seconds * 1_000.0) as i64)))
                .unwrap_or_default(),
            amount(one.depth.deferred),
            amount(one.depth.running),
            amount(one.depth.held),
            lately.ended().to_string(),
            (lately.failed + lately.exception).to_string(),
            one.runs.as_ref().map(|runs| output::micros(runs.p50_us)).unwrap_or_default(),
        ]
    });
    let head = ["Entrypoint", "Due", "Oldest", "Later", "Running", "Held", "Ended, 5 min", "Failed", "p50"];
    output::table(head, rows, "Nothing has run here in the last hour, and no job waits.")?;
    if all.len() > limit || overview.next.is_some() {
        output::status("There are more entrypoints; --limit shows them.");
    }
    Ok(())
}

fn causes(failures: &Failures) -> anyhow::Result<()> {
    if failures.groups.is_empty() {
        return Ok(());
    }
    let rows = failures.groups.iter().take(CAUSES).map(|group| {
        let began = group.versions.first().map(|one| format!("{} {}", one.plugin, one.version));
        [
            group.cause.entrypoint.clone(),
            output::short(&format!("{}: {}", group.cause.exception_type, group.cause.message), 70),
            group.failures.to_string(),
            group.held.to_string(),
            output::time(group.first_seen),
            output::time(group.last_seen),
            began.unwrap_or_else(|| "-".into()),
        ]
    });
    let head = ["Entrypoint", "Failed because of", "Runs", "Held", "First seen", "Last seen", "Began with"];
    output::table(head, rows, "")?;
    if failures.groups.len() > CAUSES {
        output::status(&format!("{} more causes: `pgq-host failures`.", failures.groups.len() - CAUSES));
    }
    Ok(())
}

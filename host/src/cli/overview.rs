//! `overview`: what is going on, and what is wrong, in one screen. The page's first page as text.

use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;
use pgq_queue::{Amount, EntrypointLook, Failures, Incident, IncidentKind, Overview, Situation};

/// Causes of failures that are told.
const CAUSES: usize = 5;
/// Incidents that are told, and characters of each.
const INCIDENTS: usize = 10;
const LINE: usize = 400;

#[derive(Debug, Args)]
pub(super) struct OverviewArgs {
    /// The most entrypoints to show, those in trouble first
    #[arg(short = 'n', long, default_value_t = 20)]
    limit: usize,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// What has been wrong for less time is left out.
const WRONG_FOR: Duration = Duration::from_secs(60);

pub(super) async fn run(database: &DatabaseArgs, args: OverviewArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let seen = operator.situation(WRONG_FOR).await.map_err(explain)?;
    if args.json {
        return output::object(&serde_json::to_value(&seen)?);
    }
    incidents(&seen)?;
    for pause in &seen.pauses {
        let until = pause.until.map(|until| format!(" until {}", output::time(until))).unwrap_or_default();
        let what = if pause.kind == "all" { "everything".to_owned() } else { format!("{} {}", pause.kind, pause.name) };
        warn(&format!("paused: {what}{until}, by {}: {}", pause.author, pause.reason))?;
    }
    summary(&seen)?;
    entrypoints(&seen.overview, args.limit)?;
    causes(&seen.failures)
}

fn warn(text: &str) -> anyhow::Result<()> {
    output::printed_line(&format!("! {text}")).map(drop)
}

/// What is wrong, as assistants are told it. Pauses have lines, and causes of failures a table of their
/// own.
fn incidents(seen: &Situation) -> anyhow::Result<()> {
    let told_below = [IncidentKind::Failing, IncidentKind::Paused];
    let all: Vec<&Incident> =
        seen.incidents.incidents.iter().filter(|incident| !told_below.contains(&incident.kind)).collect();
    for incident in all.iter().take(INCIDENTS) {
        warn(&output::short(&incident.told(seen.at), LINE))?;
    }
    if all.len() > INCIDENTS {
        warn(&format!("{} more; --json has all", all.len() - INCIDENTS))?;
    }
    Ok(())
}

fn amount(amount: Amount) -> String {
    format!("{}{}", amount.jobs, if amount.more { "+" } else { "" })
}

fn summary(seen: &Situation) -> anyhow::Result<()> {
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
        seen.hosts.hosts.len(),
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

//! `retry-now`, `reschedule`, `edit`: changes jobs that wait.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use serde_json::json;

use super::bulk::{self, ChosenArgs};
use super::database::{DatabaseArgs, explain};
use super::output;
use super::usage::OrUsage as _;
use crate::config::parse_duration;
use pgq_queue::{Change, Due, JobStatus};

#[derive(Debug, Args)]
pub(super) struct RetryNowArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Print a JSON object: how many jobs matched, and how many were changed
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("when").required(true).args(["at", "delay"]))]
pub(super) struct RescheduleArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Due at this time, like 2026-11-26T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<DateTime<Utc>>,
    /// Due after this time
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// Print a JSON object: how many jobs matched, and how many were changed
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["payload", "payload_file", "priority"]))]
pub(super) struct EditArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// The new payload
    #[arg(long, value_name = "TEXT", conflicts_with = "payload_file")]
    payload: Option<String>,
    /// Read the new payload from a file
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// The new priority
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Print a JSON object: how many jobs matched, and how many were changed
    #[arg(long)]
    json: bool,
}

fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    at.map_err(|_| format!("{text:?} is not a time; write it like 2026-11-26T18:00:00Z"))
}

/// One of these verbs.
struct Verb {
    name: &'static str,
    done: &'static str,
    can: &'static [JobStatus],
}

pub(super) async fn retry_now(database: &DatabaseArgs, args: RetryNowArgs) -> anyhow::Result<()> {
    let verb = Verb { name: "retry-now", done: "Made due", can: &[JobStatus::Queued] };
    let change = Change { due: Some(Due::In(Duration::ZERO)), only_deferred: true, ..Change::default() };
    run(database, &args.chosen, &verb, change, json!({}), args.json).await
}

pub(super) async fn reschedule(database: &DatabaseArgs, args: RescheduleArgs) -> anyhow::Result<()> {
    let verb = Verb { name: "reschedule", done: "Rescheduled", can: &[JobStatus::Queued] };
    let (due, what) = match (args.at, args.delay) {
        (Some(at), _) => (Due::At(at), json!({ "at": at })),
        (None, delay) => {
            let delay = delay.unwrap_or_default();
            (Due::In(delay), json!({ "delay_s": delay.as_secs_f64() }))
        }
    };
    run(database, &args.chosen, &verb, Change { due: Some(due), ..Change::default() }, what, args.json).await
}

pub(super) async fn edit(database: &DatabaseArgs, args: EditArgs) -> anyhow::Result<()> {
    let verb = Verb { name: "edit", done: "Edited", can: &[JobStatus::Queued, JobStatus::Failed] };
    let payload = match (args.payload, args.payload_file) {
        (Some(text), _) => Some(text.into_bytes()),
        (None, Some(file)) => {
            Some(std::fs::read(&file).with_context(|| format!("cannot read {}", file.display())).or_usage()?)
        }
        (None, None) => None,
    };
    // The audit has no payload: it may be secret.
    let what = json!({ "payload_bytes": payload.as_ref().map(Vec::len), "priority": args.priority });
    let change = Change { payload: payload.map(Some), priority: args.priority, held_too: true, ..Change::default() };
    run(database, &args.chosen, &verb, change, what, args.json).await
}

async fn run(
    database: &DatabaseArgs,
    args: &ChosenArgs,
    verb: &Verb,
    change: Change,
    what: serde_json::Value,
    json: bool,
) -> anyhow::Result<()> {
    args.check(verb.name)?;
    let operator = database.operator().await?;
    let chosen = args.choose(&operator, verb.can, verb.name).await?;
    if chosen.ids.is_empty() {
        return bulk::report(verb.done, 0, 0, json);
    }
    let held_too = change.held_too && chosen.statuses.as_ref().is_none_or(|statuses| statuses.contains(&"failed"));
    let change = Change { held_too, ..change };
    let asked = json!({ "jobs": chosen.asked, "change": what });
    let audit =
        operator.begin_audit(&verb.name.replace('-', "_"), &args.actor.actor(), &asked).await.map_err(explain)?;
    let changed = operator.change(&chosen.ids, &change, audit).await.map_err(explain)?.len();
    bulk::report(verb.done, changed, chosen.ids.len(), json)?;
    if chosen.statuses.is_none() && changed < chosen.ids.len() {
        let why = if change.only_deferred {
            "they do not wait, are due already, or are no longer in the queue"
        } else {
            "they run, or are no longer in the queue"
        };
        output::status("`pgq-host job ID` tells more of each.");
        bail!("{} job(s) were left as they are: {why}", chosen.ids.len() - changed);
    }
    Ok(())
}

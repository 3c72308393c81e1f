//! `requeue`: puts held jobs back into the queue, and reports on each.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::bulk::{self, ActorArgs};
use super::database::{DatabaseArgs, explain};
use super::filter::MatchArgs;
use super::output;
use super::usage::usage;
use pgq_job::JobId;
use pgq_queue::{JobFilter, Requeue, RequeueOutcome};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["ids", "entrypoints", "all", "older", "younger", "error", "header", "plugin"]))]
pub(super) struct RequeueArgs {
    /// The jobs
    ids: Vec<JobId>,
    /// All held jobs of this entrypoint; may be given several times
    #[arg(long = "entrypoint", value_name = "NAME")]
    entrypoints: Vec<String>,
    /// All held jobs
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    matches: MatchArgs,
    /// Do it to the jobs that match; without it, they are counted
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON array: an object with id and result for each job
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: RequeueArgs) -> anyhow::Result<()> {
    let by_id = !args.ids.is_empty();
    if by_id && (args.all || !args.entrypoints.is_empty() || !args.matches.is_empty()) {
        return Err(usage("requeue takes ids, or --entrypoint, --all or a filter, and not both"));
    }
    let operator = database.operator().await?;
    let (ids, asked) = if by_id {
        let asked = bulk::named(&args.ids);
        (args.ids, asked)
    } else if !args.matches.is_empty() {
        let filters: Vec<JobFilter> = match args.entrypoints.as_slice() {
            [] => vec![args.matches.of_held(None)],
            names => names.iter().map(|name| args.matches.of_held(Some(name.clone()))).collect(),
        };
        let asked = filters.iter().map(bulk::asked).collect();
        (bulk::matching(&operator, &filters, args.yes, "requeue").await?, asked)
    } else {
        let entrypoints = (!args.all).then_some(args.entrypoints.as_slice());
        let asked = json!({ "status": "failed", "entrypoints": entrypoints });
        (operator.held_ids(entrypoints).await.map_err(explain)?, asked)
    };
    let report = if ids.is_empty() {
        Vec::new()
    } else {
        let audit = operator.begin_audit("requeue", &args.actor.actor(), &asked).await.map_err(explain)?;
        operator.requeue(&ids, audit).await.map_err(explain)?
    };
    let done = report.iter().filter(|job| job.outcome == RequeueOutcome::Requeued).count();
    if args.json {
        output::json(&report)?;
    } else {
        // Of thousands of jobs, report only those that need attention. Ids that somebody typed are
        // answered one by one.
        let told = report.iter().filter(|job| by_id || job.outcome != RequeueOutcome::Requeued);
        let lines: Vec<String> = told.map(line).collect();
        if !lines.is_empty() {
            output::data(&lines.join("\n"))?;
        }
    }
    if report.is_empty() {
        output::status("No failed jobs.");
        return Ok(());
    }
    output::status(&format!("Re-queued {done} of {} job(s).", report.len()));
    if done < report.len() {
        bail!("{} job(s) were not re-queued", report.len() - done);
    }
    Ok(())
}

fn line(job: &Requeue) -> String {
    let what = match &job.outcome {
        RequeueOutcome::Requeued => "re-queued".to_owned(),
        RequeueOutcome::NotFailed { status } => format!("not re-queued: it is {status}, not failed"),
        RequeueOutcome::NotFound { last_status: Some(status) } => {
            format!("not re-queued: it no longer exists; its log ends with {status}")
        }
        RequeueOutcome::NotFound { last_status: None } => "not re-queued: there is no such job".to_owned(),
        RequeueOutcome::DedupeKeyTaken { dedupe_key, taken_by } => {
            format!("not re-queued: its dedupe key {dedupe_key:?} now belongs to job {taken_by}")
        }
    };
    format!("Job {}: {what}.", job.id)
}

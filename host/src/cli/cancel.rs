//! `cancel`: removes jobs, even running ones, and reports on each.

use anyhow::bail;
use clap::Args;

use super::bulk::{self, ChosenArgs};
use super::database::{DatabaseArgs, explain};
use super::output;
use pgq_queue::{Cancel, CancelOutcome, JobStatus};

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Print a JSON array: an object with id and result for each job; of jobs that match, one object
    /// with their numbers
    #[arg(long)]
    json: bool,
}

const CAN: [JobStatus; 3] = [JobStatus::Queued, JobStatus::Picked, JobStatus::Failed];

pub(super) async fn run(database: &DatabaseArgs, args: CancelArgs) -> anyhow::Result<()> {
    args.chosen.check("cancel")?;
    let operator = database.operator().await?;
    let chosen = args.chosen.choose(&operator, &CAN, "cancel").await?;
    if chosen.ids.is_empty() {
        return bulk::report("Cancelled", 0, 0, args.json);
    }
    let audit = operator.begin_audit("cancel", &args.chosen.actor.actor(), &chosen.asked).await.map_err(explain)?;
    let report = operator.cancel(&chosen.ids, chosen.statuses.as_deref(), audit).await.map_err(explain)?;
    let missing = report.iter().filter(|job| matches!(job.outcome, CancelOutcome::NotFound { .. })).count();
    if chosen.statuses.is_some() {
        return bulk::report("Cancelled", report.len() - missing, report.len(), args.json);
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::data(&report.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    output::status(&format!("Cancelled {} of {} job(s).", report.len() - missing, report.len()));
    if missing > 0 {
        bail!("{missing} job(s) could not be cancelled because they do not exist");
    }
    Ok(())
}

fn line(job: &Cancel) -> String {
    let what = match &job.outcome {
        CancelOutcome::Canceled { was } if was == "picked" => {
            "cancelled while running; its worker has been told to stop it".to_owned()
        }
        CancelOutcome::Canceled { was } => format!("cancelled; it was {was}"),
        CancelOutcome::NotFound { last_status: Some(status) } => {
            format!("no longer exists; its log ends with {status}")
        }
        CancelOutcome::NotFound { last_status: None } => "there is no such job".to_owned(),
    };
    format!("Job {}: {what}.", job.id)
}

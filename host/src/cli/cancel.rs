//! `cancel`: removes jobs, even running ones, and reports on each.

use anyhow::bail;
use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;
use pgq_job::JobId;
use pgq_queue::{Cancel, CancelOutcome};

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The jobs: queued, running or held as failed
    #[arg(required = true)]
    ids: Vec<JobId>,
    /// Print a JSON array: an object with id and result for each job
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: CancelArgs) -> anyhow::Result<()> {
    let report = database.operator().await?.cancel(&args.ids).await.map_err(explain)?;
    if args.json {
        output::json(&report)?;
    } else {
        output::data(&report.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    let missing = report.iter().filter(|job| matches!(job.outcome, CancelOutcome::NotFound { .. })).count();
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

//! `logs`: what runs printed, as far as it is kept.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;
use pgq_job::JobId;
use pgq_queue::{KeptLine, RunLines};

/// Between two looks at what is new.
const PERIOD: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// The runs of this job [default: those of all jobs]
    #[arg(conflicts_with_all = ["entrypoint", "follow"])]
    id: Option<JobId>,
    /// The runs of this entrypoint
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// The most runs to show, the last ones
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    limit: u32,
    /// Go on with runs that end from now on
    #[arg(short, long)]
    follow: bool,
    /// Print a JSON object for each run, one per line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: LogsArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    if !operator.keeps_lines().await.map_err(explain)? {
        bail!(
            "the database has no table for what runs print, or this role may not use it: run `pgq-host upgrade`, `pgq-host grant ROLE --apply`, and start the hosts again"
        );
    }
    if let Some(id) = args.id {
        let runs = operator.lines_of_job(id, args.limit.into()).await.map_err(explain)?;
        for run in &runs {
            show(run, args.json)?;
        }
        if runs.is_empty() {
            output::status(&format!(
                "Nothing is kept of what the runs of job {id} printed. By default that is kept of failed runs alone ([logs] in pgq-host.toml)."
            ));
        }
        return Ok(());
    }
    let (runs, mut follower) = operator.lines(args.entrypoint, args.limit.into()).await.map_err(explain)?;
    for run in &runs {
        if !show(run, args.json)? {
            return Ok(());
        }
    }
    if !args.follow {
        if runs.is_empty() {
            output::status("Nothing is kept of what the last runs printed.");
        }
        return Ok(());
    }
    output::status("Following; a run is shown when it has ended. Stop with Ctrl-C.");
    loop {
        for run in follower.next().await.map_err(explain)? {
            if !show(&run, args.json)? {
                return Ok(());
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Whether the reader is still there.
fn show(run: &RunLines, json: bool) -> anyhow::Result<bool> {
    if json {
        return output::line(&serde_json::to_string(run)?);
    }
    output::printed_line(&heading(run))?;
    body(run)
}

fn heading(run: &RunLines) -> String {
    let how = if run.failed { "failed" } else { "did not fail" };
    format!("Job {} of {:?}, run {}, {how} at {}", run.job_id, run.entrypoint, run.attempt, output::time(run.ended))
}

/// The lines of a run, below a heading.
pub(super) fn body(run: &RunLines) -> anyhow::Result<bool> {
    let Some(lines) = &run.lines else {
        return output::printed_line("  (lines of another version of pgq-host)");
    };
    if run.cut > 0 {
        output::printed_line(&format!("  ({} bytes before this are not kept)", run.cut))?;
    }
    for KeptLine { after_ms, stream, level, message, fields } in lines {
        let source = if stream == "log" { level } else { stream };
        let gap = if fields.is_empty() { "" } else { "  " };
        if !output::printed_line(&format!("  +{after_ms} ms {source:>6}  {message}{gap}{fields}"))? {
            return Ok(false);
        }
    }
    Ok(true)
}

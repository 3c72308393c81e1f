//! `jobs`: lists jobs by a filter, page by page.

use chrono::Utc;
use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::filter::FilterArgs;
use super::output;
use super::usage::usage;
use pgq_queue::{Cursor, JobPage, JobStatus, JobSummary};

/// Enough of an error to recognize it.
const ERROR_CHARACTERS: usize = 60;
/// Digits of a digest that tell versions apart.
const DIGEST_CHARACTERS: usize = 12;

#[derive(Debug, Args)]
pub(super) struct JobsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The most jobs to show
    #[arg(short = 'n', long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on behind this place, which the page before named
    #[arg(long, value_name = "PLACE")]
    after: Option<Cursor>,
    /// The most rows to read for a page, whatever they are
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    look: u32,
    /// Show errors and digests whole
    #[arg(long)]
    wide: bool,
    /// Print a JSON object: `jobs`, and `next`, the place where the next page begins
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: JobsArgs) -> anyhow::Result<()> {
    let filter = args.filter.filter()?;
    if let Some(after) = args.after.filter(|after| !filter.is_continued_by(*after)) {
        return Err(usage(format!(
            "--after {after} is a place in another list: pass the filter that the page before had"
        )));
    }
    let operator = database.operator().await?;
    let page = operator.jobs(&filter, args.after, args.limit as usize, args.look as usize).await;
    let page = page.map_err(|error| match pgq_queue::was_cancelled(&error) {
        true => anyhow::anyhow!(
            "the page took longer than 5 s, and was given up to spare the database: read fewer rows for it with --look, or narrow it by --status and --entrypoint"
        ),
        false => explain(error),
    })?;
    if args.json {
        return output::json_object(&page);
    }
    match filter.status {
        Some(JobStatus::Picked) => running(&page, args.wide),
        Some(status) if status.is_over() => ended(&page, args.wide),
        _ => waiting(&page, args.wide),
    }?;
    if let Some(next) = page.next {
        output::status(&match page.jobs.len() < args.limit as usize {
            true => format!("These are all of {} rows that were read. --after {next} goes on.", args.look),
            false => format!("There may be more: --after {next} goes on."),
        });
    }
    Ok(())
}

fn error(job: &JobSummary, wide: bool) -> String {
    let error = job.error.as_deref().unwrap_or_default();
    if wide { error.to_owned() } else { output::short(error, ERROR_CHARACTERS) }
}

fn sha256(job: &JobSummary, wide: bool) -> String {
    let whole = job.plugin_sha256.as_deref().unwrap_or("-");
    if wide { whole.to_owned() } else { whole.chars().take(DIGEST_CHARACTERS).collect() }
}

fn place(job: &JobSummary) -> String {
    job.host.clone().or(job.queue_manager_id.map(|id| id.to_string())).unwrap_or_else(|| "-".into())
}

fn waiting(page: &JobPage, wide: bool) -> anyhow::Result<()> {
    let rows = page.jobs.iter().map(|job| {
        [
            job.id.to_string(),
            job.entrypoint.clone(),
            job.status.clone(),
            job.priority.to_string(),
            job.attempts.unwrap_or_default().to_string(),
            job.created.map(output::time).unwrap_or_default(),
            job.execute_after.filter(|_| job.status == "queued").map(output::time).unwrap_or_default(),
            if job.status == "picked" { place(job) } else { String::new() },
            error(job, wide),
        ]
    });
    let head = ["ID", "Entrypoint", "Status", "Priority", "Failed runs", "Enqueued", "Due", "Runs on", "Last error"];
    output::table(head, rows, "No such jobs.")
}

fn running(page: &JobPage, wide: bool) -> anyhow::Result<()> {
    let now = Utc::now();
    let rows = page.jobs.iter().map(|job| {
        [
            job.id.to_string(),
            job.entrypoint.clone(),
            output::time(job.updated),
            output::span(now - job.updated),
            job.deadline.map_or_else(|| "-".into(), output::time),
            place(job),
            sha256(job, wide),
            job.attempts.unwrap_or_default().to_string(),
            error(job, wide),
        ]
    });
    let head = ["ID", "Entrypoint", "Claimed", "For", "Deadline", "Host", "SHA-256", "Failed runs", "Last error"];
    output::table(head, rows, "No such jobs.")
}

fn ended(page: &JobPage, wide: bool) -> anyhow::Result<()> {
    let rows = page.jobs.iter().map(|job| {
        [
            job.id.to_string(),
            job.entrypoint.clone(),
            job.status.clone(),
            output::time(job.updated),
            sha256(job, wide),
            error(job, wide),
        ]
    });
    output::table(["ID", "Entrypoint", "Status", "Ended", "SHA-256", "Error"], rows, "No such jobs.")
}

//! `job`: everything about one job.

use std::path::PathBuf;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;

use super::database::{DatabaseArgs, explain};
use super::usage::OrUsage as _;
use super::{logs, output};
use crate::config::Config;
use pgq_job::JobId;
use pgq_queue::{Content, JobAttempt, JobReport, JobRow, Shape, SignerLook};

/// Enough of a payload or an output to know it by. More has `--payload`.
const SHOWN_BYTES: i32 = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    /// The job: queued, running, held, or in the log
    id: JobId,
    /// Print the whole payload and nothing else, byte for byte
    #[arg(long, conflicts_with = "json")]
    payload: bool,
    /// The file with the masks of [web] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: JobArgs) -> anyhow::Result<()> {
    let masks = Config::masks(args.config.as_deref()).or_usage()?;
    let operator = database.operator().await?.masking(masks);
    if args.payload {
        return match operator.payload(args.id).await.map_err(explain)? {
            Some(payload) => output::raw(&payload.unwrap_or_default()),
            None => bail!("job {} is not in the queue; payloads leave it with their jobs", args.id),
        };
    }
    let Some(job) = operator.job(args.id, SHOWN_BYTES).await.map_err(explain)? else {
        bail!("neither the queue nor the log knows job {}; `pgq-host jobs` lists some", args.id);
    };
    if args.json {
        return output::json_object(&job);
    }
    let mut facts = vec![("Job", job.id.to_string()), ("Entrypoint", job.entrypoint.clone())];
    facts.push((
        "Status",
        if job.row.is_some() { job.status.clone() } else { format!("{} (it has left the queue)", job.status) },
    ));
    facts.extend(job.row.iter().flat_map(|row| of_row(row, &job.status)));
    output::facts(facts)?;
    if let Some(row) = &job.row {
        if let Some(headers) = row.headers.as_deref().filter(|headers| headers.get() != "null") {
            output::section("\nHeaders", headers.get())?;
        } else if row.headers.is_none() && row.headers_bytes > 0 {
            output::section("\nHeaders", &format!("{} bytes, too large to show", row.headers_bytes))?;
        }
        match &row.payload {
            Some(payload) => content("Payload", payload, " (`--payload` prints all of it)")?,
            None => output::data("\nPayload: none")?,
        }
    }
    runs(&job)?;
    errors(&job)?;
    for run in &job.printed {
        output::data(&format!("\nPrinted by run {}", run.attempt))?;
        logs::body(run)?;
    }
    history(&job)?;
    match &job.output {
        Some(output) => content(&format!("Output of {}", output::time(output.at)), &output.content, ""),
        None => Ok(()),
    }
}

fn of_row<'a>(row: &JobRow, status: &str) -> Vec<(&'a str, String)> {
    let now = Utc::now();
    let mut facts = vec![
        ("Priority", row.priority.to_string()),
        ("Failed runs", row.attempts.to_string()),
        ("Enqueued", ago(row.created, now)),
    ];
    match status {
        "picked" => {
            facts.push(("Claimed", ago(row.updated, now)));
            facts.push(("Last heartbeat", ago(row.heartbeat, now)));
            facts.extend(row.deadline.map(|at| ("Deadline", format!("{} if it began with its claim", ago(at, now)))));
            facts.extend(row.queue_manager_id.map(|id| ("Worker", worker(&id.to_string(), row.host.as_deref()))));
            facts.extend(row.plugin_sha256.clone().map(|sha256| ("Plugin sha256", sha256)));
            facts.extend(row.slot.map(|slot| ("Slot", slot.to_string())));
        }
        "queued" => facts.push(("Due", ago(row.execute_after, now))),
        _ => facts.push(("Held since", ago(row.updated, now))),
    }
    facts.extend(row.dedupe_key.clone().map(|key| ("Dedupe key", key)));
    facts.extend(row.schedule.as_ref().map(|schedule| {
        let text = |key: &str| schedule[key].as_str().unwrap_or("?");
        ("Schedule", format!("{:?}, the tick of {}", text("expression"), text("scheduled_for")))
    }));
    facts
}

fn worker(id: &str, host: Option<&str>) -> String {
    host.map_or_else(|| id.to_owned(), |host| format!("{host} ({id})"))
}

/// A time, and how far away it is.
fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    let far = output::span(TimeDelta::try_seconds(seconds.abs()).unwrap_or_default());
    let far = if seconds < 0 { format!("in {far}") } else { format!("{far} ago") };
    format!("{} ({far})", output::time(at))
}

fn content(what: &str, content: &Content, rest: &str) -> anyhow::Result<()> {
    if content.bytes == 0 {
        return output::data(&format!("\n{what}: empty"));
    }
    let (kind, text) = match &content.shape {
        Shape::Json(json) => ("JSON", json.get()),
        Shape::Text(text) => ("text", text.as_str()),
        Shape::Hex(digits) => ("hexadecimal", digits.as_str()),
        Shape::Sealed(sealed) => {
            return output::data(&format!("\n{what}: {} bytes, sealed with key {}", content.bytes, sealed.key));
        }
    };
    let cut = if content.cut { format!(", the first {} KiB{rest}", SHOWN_BYTES >> 10) } else { String::new() };
    output::section(&format!("\n{what}: {} bytes, {kind}{cut}", content.bytes), text)
}

fn runs(job: &JobReport) -> anyhow::Result<()> {
    if let Some(why) = &job.attempts_unread {
        output::status(&format!("Runs are missing here: {why}."));
    }
    if job.attempts.is_empty() {
        return Ok(());
    }
    output::data("\nRuns")?;
    let row = |run: &JobAttempt| {
        let unknown = || "-".to_owned();
        let version =
            run.plugin.as_ref().zip(run.plugin_version.as_ref()).map(|(name, version)| format!("{name} {version}"));
        [
            run.attempt.to_string(),
            output::time(run.ended),
            output::micros(run.elapsed_us),
            run.cpu_us.map_or_else(unknown, output::micros),
            output::bytes(run.memory_bytes),
            run.requests.map_or_else(unknown, |requests| {
                let bytes = [run.sent_bytes, run.received_bytes].map(|bytes| output::bytes(bytes.unwrap_or_default()));
                format!("{requests}, {} out, {} in", bytes[0], bytes[1])
            }),
            run.host.clone().or(run.queue_manager_id.map(|id| id.to_string())).unwrap_or_else(unknown),
            version.unwrap_or_else(unknown),
            run.plugin_sha256.clone().unwrap_or_else(unknown),
            Some(SignerLook::list(&run.plugin_signed_by)).filter(|keys| !keys.is_empty()).unwrap_or_else(unknown),
        ]
    };
    let head = ["Run", "Ended", "Took", "Processor", "Memory", "Requests", "Host", "Plugin", "SHA-256", "Signed by"];
    output::table(head, job.attempts.iter().map(row), "")
}

fn errors(job: &JobReport) -> anyhow::Result<()> {
    for event in &job.events {
        let Some(traceback) = &event.traceback else { continue };
        let text = |key: &str| traceback[key].as_str().unwrap_or_default();
        let run = traceback["additional_context"]["attempt"].as_i64().map(|run| format!(" of run {run}"));
        let message = format!("{}: {}\n{}", text("exception_type"), text("exception_message"), text("traceback"));
        output::section(&format!("\nError{} at {}", run.unwrap_or_default(), output::time(event.at)), &message)?;
        if let Some(delay) = traceback["additional_context"]["retry_delay"].as_str() {
            output::data(&format!("  It was to run again after {}.", pgq_engine::printable::printable(delay)))?;
        }
    }
    Ok(())
}

fn history(job: &JobReport) -> anyhow::Result<()> {
    if job.events.is_empty() {
        return Ok(());
    }
    output::data(if job.events_cut { "\nLog (only the newest rows)" } else { "\nLog" })?;
    let error = |traceback: &Value| traceback["exception_type"].as_str().map(str::to_owned);
    let rows = job.events.iter().map(|event| {
        let error = event.traceback.as_ref().and_then(error).unwrap_or_default();
        [event.at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string(), event.status.clone(), error]
    });
    output::table(["At", "Status", "Error"], rows, "")
}

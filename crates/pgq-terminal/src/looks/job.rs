//! One job, as lines: what it is, its runs with their errors and what they printed, its payload, its
//! output and its log.

use chrono::{DateTime, Utc};
use pgq_job::units::{ago, bytes, count, many, micros};
use pgq_queue::{Content, JobAttempt, JobReport, JobRow, JobRun, RunLines, Shape, SignerLook};
use serde_json::Value;

use super::jobs::status;
use crate::text::{safe, wrap};
use crate::tone::Tone;

/// Lines that a run printed, the last ones: `pgq-host logs` has more.
const PRINTED: usize = 200;
/// Bytes of a traceback or a text in it.
const ERROR_BYTES: usize = 16 << 10;

/// Lines, each with its tone, of at most so many columns.
struct Page {
    lines: Vec<(Tone, String)>,
    columns: usize,
}

impl Page {
    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.lines.push((Tone::Plain, String::new()));
        }
        self.text(Tone::Strong, 0, text);
    }

    /// A text of others, indented.
    fn text(&mut self, tone: Tone, indent: usize, text: &str) {
        let text = &text[..text.floor_char_boundary(ERROR_BYTES)];
        let gap = " ".repeat(indent);
        let lines = wrap(text.trim_end(), self.columns.saturating_sub(indent));
        self.lines.extend(lines.into_iter().map(|line| (tone, format!("{gap}{line}"))));
    }

    fn fact(&mut self, name: &str, value: &str) {
        self.text(Tone::Plain, 2, &format!("{name:<13} {}", safe(value)));
    }
}

pub(crate) fn lines(job: &JobReport, columns: usize, now: DateTime<Utc>) -> Vec<(Tone, String)> {
    let mut page = Page { lines: Vec::new(), columns };
    let (tone, label) = status(&job.status);
    let gone = if job.row.is_some() { "" } else { " (it has left the queue)" };
    page.text(tone, 0, &format!("Job {} of {}: {label}{gone}", job.id, safe(&job.entrypoint)));
    facts(&mut page, job, now);
    runs(&mut page, job, now);
    if let Some(row) = &job.row {
        match &row.payload {
            Some(payload) => content(&mut page, "Payload", payload),
            None => page.heading("Payload: none"),
        }
        if let Some(headers) = row.headers.as_deref().filter(|headers| headers.get() != "null") {
            page.heading("Headers");
            page.text(Tone::Plain, 2, headers.get());
        } else if row.headers.is_none() && row.headers_bytes > 0 {
            page.heading(&format!("Headers: {}, too large to show", bytes(row.headers_bytes)));
        }
    }
    if let Some(output) = &job.output {
        content(&mut page, &format!("Output, {}", ago(output.at, now)), &output.content);
    }
    log(&mut page, job);
    page.lines
}

fn facts(page: &mut Page, job: &JobReport, now: DateTime<Utc>) {
    let time = |at: DateTime<Utc>| format!("{} ({})", at.format("%Y-%m-%d %H:%M:%SZ"), ago(at, now));
    if let Some(parent) = job.parent {
        page.fact("Enqueued by", &format!("job {parent}"));
    }
    let Some(row) = &job.row else { return };
    page.fact("Enqueued", &time(row.created));
    match job.status.as_str() {
        "picked" => of_running(page, row, &time),
        "queued" => page.fact("Due", &time(row.execute_after)),
        _ => page.fact("Held since", &time(row.updated)),
    }
    page.fact("Priority", &row.priority.to_string());
    page.fact("Failed runs", &count(row.attempts.into()));
    if let Some(key) = &row.dedupe_key {
        page.fact("Dedupe key", key);
    }
    if let Some(schedule) = &row.schedule {
        let text = |key: &str| schedule[key].as_str().unwrap_or("?").to_owned();
        page.fact("Schedule", &format!("{}, the tick of {}", text("expression"), text("scheduled_for")));
    }
}

fn of_running(page: &mut Page, row: &JobRow, time: &impl Fn(DateTime<Utc>) -> String) {
    page.fact("Claimed", &time(row.updated));
    page.fact("Heartbeat", &time(row.heartbeat));
    if let Some(deadline) = row.deadline {
        page.fact("Deadline", &time(deadline));
    }
    let worker = row.host.clone().or(row.queue_manager_id.map(|id| id.to_string()));
    page.fact("Runs on", worker.as_deref().unwrap_or("?"));
    if let Some(sha256) = &row.plugin_sha256 {
        page.fact("Version", sha256);
    }
}

fn runs(page: &mut Page, job: &JobReport, now: DateTime<Utc>) {
    page.heading("Runs, the newest first");
    if let Some(why) = &job.attempts_unread {
        page.text(Tone::Warn, 2, &format!("Runs are missing here: {why}."));
    }
    let runs = job.runs();
    if runs.is_empty() {
        let none = if job.row.is_some() { "It has not ended a run yet." } else { "Nothing is kept of its runs." };
        page.text(Tone::Dim, 2, none);
    }
    for run in &runs {
        self::run(page, run, now);
    }
}

fn run(page: &mut Page, run: &JobRun<'_>, now: DateTime<Utc>) {
    let number = run.number.map(|number| format!(" {number}")).unwrap_or_default();
    let (tone, how) = if run.error.is_some() { (Tone::Bad, "failed") } else { (Tone::Good, "ended well") };
    page.text(tone, 2, &format!("Run{number} {how} {}", ago(run.at, now)));
    if let Some(attempt) = run.attempt {
        page.text(Tone::Plain, 4, &figures(attempt));
    }
    if let Some(error) = run.error {
        self::error(page, error);
    }
    if let Some(lines) = run.lines {
        printed(page, lines);
    }
}

fn figures(run: &JobAttempt) -> String {
    let mut parts = vec![format!("took {}", micros(run.elapsed_us))];
    parts.extend(run.cpu_us.map(|cpu| format!("processor {}", micros(cpu))));
    parts.push(format!("memory {}", bytes(run.memory_bytes)));
    parts.extend(run.requests.map(|requests| {
        let [out, back] = [run.sent_bytes, run.received_bytes].map(|size| bytes(size.unwrap_or_default()));
        format!("{requests} requests, {out} out, {back} in")
    }));
    if let (Some(plugin), Some(version)) = (&run.plugin, &run.plugin_version) {
        parts.push(format!("{} {}", safe(plugin), safe(version)));
    }
    if !run.plugin_signed_by.is_empty() {
        parts.push(format!("signed by {}", safe(&SignerLook::list(&run.plugin_signed_by))));
    }
    let worker = run.host.clone().or(run.queue_manager_id.map(|id| id.to_string()));
    parts.extend(worker.map(|worker| format!("on {}", safe(&worker))));
    if !run.follow_ups.is_empty() {
        let ids: Vec<String> = run.follow_ups.iter().take(20).map(i64::to_string).collect();
        parts.push(format!("enqueued {}: {}", many(run.follow_ups.len(), "job"), ids.join(", ")));
    }
    parts.join(", ")
}

fn error(page: &mut Page, error: &Value) {
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    page.text(Tone::Bad, 4, &format!("{}: {}", text("exception_type"), text("exception_message")));
    if let Some(delay) = error["additional_context"]["retry_delay"].as_str() {
        page.text(Tone::Plain, 4, &format!("It was to run again after {delay}."));
    }
    if !text("traceback").is_empty() {
        page.text(Tone::Dim, 6, text("traceback"));
    }
}

fn printed(page: &mut Page, run: &RunLines) {
    let Some(lines) = &run.lines else {
        return page.text(Tone::Dim, 4, "What it printed is not as this version of pgq-host stores it.");
    };
    if run.cut > 0 {
        page.text(Tone::Dim, 4, &format!("{} before this are not kept.", bytes(run.cut)));
    }
    let left_out = lines.len().saturating_sub(PRINTED);
    if left_out > 0 {
        page.text(Tone::Dim, 4, &format!("{} before this: pgq-host logs {}", many(left_out, "line"), run.job_id));
    }
    for line in &lines[left_out..] {
        let source = if line.stream == "log" { &line.level } else { &line.stream };
        let tone = if matches!(source.as_str(), "error" | "stderr") { Tone::Bad } else { Tone::Plain };
        let gap = if line.fields.is_empty() { "" } else { "  " };
        page.text(tone, 4, &format!("+{} ms {source:>6}  {}{gap}{}", line.after_ms, line.message, line.fields));
    }
}

fn content(page: &mut Page, what: &str, content: &Content) {
    let size = bytes(i64::try_from(content.bytes).unwrap_or(i64::MAX));
    let (kind, text) = match &content.shape {
        Shape::Json(json) => ("JSON", json.get()),
        Shape::Text(text) => ("text", text.as_str()),
        Shape::Hex(digits) => ("hexadecimal", digits.as_str()),
        Shape::Sealed(sealed) => {
            return page.heading(&format!("{what}: {size}, sealed with key {}", safe(&sealed.key)));
        }
    };
    let cut = if content.cut { ", only its beginning" } else { "" };
    page.heading(&format!("{what}: {size}, {kind}{cut}"));
    if content.bytes > 0 {
        page.text(Tone::Plain, 2, text);
    }
}

fn log(page: &mut Page, job: &JobReport) {
    if job.events.is_empty() {
        return;
    }
    page.heading(if job.events_cut { "Log, only the newest rows" } else { "Log" });
    for event in &job.events {
        let error = event.traceback.as_ref().and_then(|traceback| traceback["exception_type"].as_str());
        let at = event.at.format("%Y-%m-%d %H:%M:%S%.3fZ");
        page.text(Tone::Plain, 2, &format!("{at}  {:<10} {}", safe(&event.status), safe(error.unwrap_or_default())));
    }
}

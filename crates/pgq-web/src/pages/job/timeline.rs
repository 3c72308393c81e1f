//! What happened to a job: its runs with their errors and what they printed, and its log.

use maud::{Markup, html};
use pgq_queue::{JobAttempt, JobReport, JobRun, KeptLine, RunLines, SignerLook};
use serde_json::Value;

use crate::pages::badge::{self, Tone};
use crate::pages::desk::Desk;
use crate::pages::icon::Icon;
use crate::pages::jobs::filter::query;
use crate::pages::shown::{brief, shown};
use crate::pages::units::{ago, bytes, clock, count, many, micros};

/// Lines that are shown of a run; the end tells most.
const LINES: usize = 200;
/// Follow-up jobs that are named.
const FOLLOW_UPS: usize = 20;

pub(super) fn timeline(desk: &Desk, job: &JobReport) -> Markup {
    let runs = job.runs();
    html! {
        section.panel {
            h2 { "Runs" @if !runs.is_empty() { span.muted { " the newest first" } } }
            @if let Some(why) = &job.attempts_unread { p.banner.warn { "Runs are missing here: " (shown(why)) "." } }
            @if runs.is_empty() && job.status != "picked" {
                p.muted { @if job.row.is_some() { "It has not run yet." } @else { "Nothing is kept of its runs." } }
            }
            ol.runs {
                @if job.status == "picked" && let Some(row) = &job.row {
                    li.run.busy {
                        p.run-head { strong { "Run " (row.attempts + 1) } (badge::badge(Tone::Busy, Icon::Running, "running")) span.muted { "since " (ago(row.updated)) } }
                        @if let Some(host) = &row.host { p.muted { "on " span.mono { (shown(host)) } } }
                    }
                }
                @for (place, run) in runs.iter().enumerate() { (self::run(desk, run, place == 0)) }
            }
        }
        @if !job.events.is_empty() {
            section.panel {
                details.plain-details {
                    summary { h2 { "Log" } span.muted { (many(job.events.len(), "row")) @if job.events_cut { ", only the newest" } } }
                    table.small-table {
                        thead { tr { th scope="col" { "At" } th scope="col" { "Status" } th scope="col" { "Error" } } }
                        tbody {
                            @for event in job.events.iter().rev() {
                                tr { td { (clock(event.at)) } td { (badge::status(&event.status)) } td { (shown(event.traceback.as_ref().and_then(|error| error["exception_type"].as_str()).unwrap_or(""))) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn run(desk: &Desk, run: &JobRun<'_>, newest: bool) -> Markup {
    html! {
        li.run.bad[run.error.is_some()].good[run.error.is_none()] {
            p.run-head {
                strong { "Run" @if let Some(number) = run.number { " " (number) } }
                @if run.error.is_some() { (badge::badge(Tone::Bad, Icon::Failed, "failed")) } @else { (badge::badge(Tone::Good, Icon::Done, "ended well")) }
                span.muted { (ago(run.at)) }
            }
            @if let Some(attempt) = run.attempt { (figures(desk, attempt)) }
            @if let Some(error) = run.error { (self::error(error, newest)) }
            @if let Some(lines) = run.lines { (printed(lines, newest)) }
        }
    }
}

fn figures(desk: &Desk, attempt: &JobAttempt) -> Markup {
    html! {
        dl.figures {
            div { dt { "Took" } dd { (micros(attempt.elapsed_us)) } }
            @if let Some(cpu) = attempt.cpu_us { div { dt { "Processor" } dd { (micros(cpu)) } } }
            div { dt { "Memory" } dd { (bytes(attempt.memory_bytes)) } }
            @if let Some(requests) = attempt.requests {
                div { dt { "Requests" } dd { (requests) ", " (bytes(attempt.sent_bytes.unwrap_or_default())) " out, " (bytes(attempt.received_bytes.unwrap_or_default())) " in" } }
            }
            @if !attempt.follow_ups.is_empty() {
                div { dt { "Enqueued" } dd {
                    @for id in attempt.follow_ups.iter().take(FOLLOW_UPS) { a.mono href=(desk.link(&format!("/jobs/{id}"))) { "#" (id) } " " }
                    @if attempt.follow_ups.len() > FOLLOW_UPS { "and " (attempt.follow_ups.len() - FOLLOW_UPS) " more" }
                } }
            }
            @if let Some(host) = &attempt.host { div { dt { "Host" } dd.mono { (shown(host)) } } }
            @else if let Some(worker) = attempt.queue_manager_id { div { dt { "Worker" } dd.mono.break { (worker) } } }
            @if let Some(sha256) = &attempt.plugin_sha256 {
                div { dt { "Version" } dd {
                    @if let (Some(plugin), Some(version)) = (&attempt.plugin, &attempt.plugin_version) { (shown(plugin)) " " (shown(version)) " " }
                    a href=(desk.link(&format!("/jobs{}", query(&[("plugin", sha256)])))) title=(sha256) { code.sha { (shown(sha256.get(..12).unwrap_or(sha256))) } }
                } }
                @if !attempt.plugin_signed_by.is_empty() { div { dt { "Signed by" } dd { (brief(&SignerLook::list(&attempt.plugin_signed_by))) } } }
            }
        }
    }
}

fn error(error: &Value, open: bool) -> Markup {
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    let delay = error["additional_context"]["retry_delay"].as_str();
    html! {
        div.error {
            p.error-head { strong { (shown(text("exception_type"))) } }
            pre.error-message tabindex="0" { (shown(text("exception_message"))) }
            @if let Some(delay) = delay { p.muted { "It was to run again after " (shown(delay)) "." } }
            @if !text("traceback").is_empty() {
                details open[open] { summary { "Traceback" } pre.code tabindex="0" { (shown(text("traceback"))) } }
            }
        }
    }
}

fn printed(run: &RunLines, open: bool) -> Markup {
    let Some(lines) = &run.lines else {
        return html! { p.muted { "What it printed is not as this version of pgq-host stores it." } };
    };
    let left_out = lines.len().saturating_sub(LINES);
    html! {
        @if !lines.is_empty() {
            details.printed open[open] {
                summary { "Printed" span.muted { " " (many(lines.len(), "line")) } }
                @if run.cut > 0 { p.muted { (bytes(run.cut)) " came before these and are not kept." } }
                @if left_out > 0 { p.muted { (count(i64::try_from(left_out).unwrap_or_default())) " more before these: " code { "pgq-host logs " (run.job_id) } } }
                div.lines tabindex="0" role="region" aria-label="What the run printed" { @for line in &lines[left_out..] { (self::line(line)) } }
            }
        }
    }
}

fn line(line: &KeptLine) -> Markup {
    let after = i64::try_from(line.after_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
    let level = if line.level.is_empty() { &line.stream } else { &line.level };
    html! {
        p class={ "log-line " (tone(level)) } {
            span.log-at { "+" (micros(after)) }
            span.log-level { (shown(level)) }
            span.log-text { (shown(&line.message)) @if !line.fields.is_empty() { " " span.muted { (shown(&line.fields)) } } }
        }
    }
}

fn tone(level: &str) -> &'static str {
    match level {
        "error" | "critical" | "stderr" => "l-error",
        "warn" | "warning" => "l-warn",
        _ => "l-calm",
    }
}

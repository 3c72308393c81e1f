//! What a job is, beside what happened to it.

use maud::{Markup, html};
use pgq_queue::{JobReport, JobRow};

use crate::pages::desk::Desk;
use crate::pages::json::pretty;
use crate::pages::shown::shown;
use crate::pages::units::{ago, bytes, count};

pub(super) fn facts(desk: &Desk, job: &JobReport) -> Markup {
    html! {
        section.panel {
            h2 { "Facts" }
            dl.facts {
                @if let Some(parent) = job.parent { div { dt { "Enqueued by" } dd { a.mono href=(desk.link(&format!("/jobs/{parent}"))) { "#" (parent) } } } }
                @match &job.row {
                    Some(row) => (of_row(desk, job, row)),
                    None => {
                        div { dt { "Where" } dd { "It has left the queue. What is here is from the log." } }
                        @if let Some(first) = job.events.first() { div { dt { "First seen" } dd { (ago(first.at)) } } }
                        @if let Some(last) = job.events.last() { div { dt { "Left" } dd { (ago(last.at)) } } }
                    }
                }
            }
        }
        @if let Some(row) = &job.row { (headers(row)) }
        section.panel.quiet {
            h2 { "In a terminal" }
            pre.command { "pgq-host job " (job.id) }
        }
    }
}

fn of_row(desk: &Desk, job: &JobReport, row: &JobRow) -> Markup {
    html! {
        div { dt { "Enqueued" } dd { (ago(row.created)) } }
        @match job.status.as_str() {
            "picked" => {
                div { dt { "Claimed" } dd { (ago(row.updated)) } }
                @if let Some(deadline) = row.deadline { div { dt { "Deadline" } dd { (ago(deadline)) } } }
                div { dt { "Heartbeat" } dd { (ago(row.heartbeat)) } }
                @if let Some(host) = &row.host { div { dt { "Host" } dd.mono { a href=(desk.link("/hosts")) { (shown(host)) } } } }
                @else if let Some(worker) = row.queue_manager_id { div { dt { "Worker" } dd.mono.break { (worker) } } }
                @if let Some(sha256) = &row.plugin_sha256 { div { dt { "Version" } dd { code.sha title=(sha256) { (sha256.get(..12).unwrap_or(sha256)) } } } }
            }
            "queued" => div { dt { "Due" } dd { (ago(row.execute_after)) } },
            _ => div { dt { "Held since" } dd { (ago(row.updated)) } },
        }
        div { dt { "Priority" } dd { (row.priority) } }
        div { dt { "Failed runs" } dd { (count(i64::from(row.attempts))) } }
        @if let Some(key) = &row.dedupe_key { div { dt { "Dedupe key" } dd.mono.break { (shown(key)) } } }
        @if let Some(slot) = row.slot { div { dt { "Slot" } dd { (slot) } } }
        @if let Some(schedule) = &row.schedule {
            @let text = |key: &str| schedule[key].as_str().unwrap_or("?").to_owned();
            div { dt { "Schedule" } dd { code { (shown(&text("expression"))) } ", the tick of " (shown(&text("scheduled_for"))) } }
        }
    }
}

fn headers(row: &JobRow) -> Markup {
    html! {
        @if row.headers_bytes > 0 {
            section.panel {
                h2 { "Headers" }
                @match &row.headers {
                    Some(headers) => pre.code tabindex="0" { (pretty(headers.get())) },
                    None => p.muted { "They are " (bytes(row.headers_bytes)) " and are not shown." },
                }
            }
        }
    }
}

//! `/audit`: who changed what by hand, and what hosts noted of signatures.

use axum::extract::State;
use maud::{Markup, html};
use pgq_queue::AuditRow;
use serde_json::Value;

use super::badge::{Tone, badge};
use super::content::{Content, Section};
use super::desk::Desk;
use super::icon::Icon;
use super::shown::{brief, cut};
use super::units::{ago, count};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Rows of the page: the latest.
const MOST: i64 = 200;

pub(crate) async fn audit(State(desk): State<Desk>, _: Visitor) -> Result<Content, Problem> {
    let operator = &desk.site.operator;
    let rows = if operator.keeps_audit().await? { operator.audit(MOST).await? } else { Vec::new() };
    let body = html! {
        @if rows.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Audit.svg()) }
                p.lead { "Nobody has changed anything by hand." }
                p.muted { "Whatever is cancelled, put back, edited or paused, here or by a command, is noted with its author." }
            }
        } @else {
            div.panel.flush {
                table.cards.rows {
                    caption.hidden { "Changes by hand, and what hosts noted of signatures, the latest first" }
                    thead { tr { th scope="col" { "When" } th scope="col" { "What" } th.n scope="col" { "Jobs" } th scope="col" { "Who" } th scope="col" { "Of what" } th scope="col" { "Why" } } }
                    tbody { @for row in &rows { (self::row(row)) } }
                }
            }
            @if i64::try_from(rows.len()).is_ok_and(|read| read >= MOST) { p.muted { "The latest " (count(MOST)) ". " code { "pgq-host audit --limit N" } " shows more." } }
        }
    };
    let above = html! { div.head { h1 { "Audit" } p.muted { "Changes by hand, and what hosts noted of signatures, the latest first" } } };
    Ok(Content::new(Section::Audit, "Audit", body).below(above).live())
}

fn row(row: &AuditRow) -> Markup {
    let (tone, icon) = match row.action.as_str() {
        "cancel" => (Tone::Bad, Icon::Failed),
        "refuse" => (Tone::Bad, Icon::Warning),
        "signer_changed" => (Tone::Warn, Icon::Warning),
        "pause" => (Tone::Warn, Icon::Paused),
        "resume" => (Tone::Good, Icon::Play),
        "requeue" | "retry_now" => (Tone::Busy, Icon::Retry),
        _ => (Tone::Calm, Icon::Audit),
    };
    html! {
        tr id={ "audit-" (row.id) } {
            th scope="row" data-label="When" { (ago(row.at)) }
            td data-label="What" { (badge(tone, icon, &row.action.replace('_', " "))) }
            td.n data-label="Jobs" { @if row.jobs > 0 { (count(row.jobs)) } @else { span.muted { "\u{2013}" } } }
            td data-label="Who" { (brief(&row.author)) span.muted.small { " as " (brief(&row.role)) } }
            td.why data-label="Of what" { (of(&row.filter)) }
            td.why data-label="Why" { @match &row.reason { Some(reason) => (brief(reason)), None => span.muted { "\u{2013}" } } }
        }
    }
}

/// What was asked for, as names and values.
fn of(filter: &Value) -> Markup {
    let mut pairs = Vec::new();
    flatten(filter, "", &mut pairs);
    html! {
        @for (name, value) in pairs.iter().take(6) { span.pair { @if !name.is_empty() { span.muted { (cut(name, 40)) " " } } (cut(value, 80)) } " " }
        @if pairs.is_empty() { span.muted { "\u{2013}" } }
    }
}

/// Objects within objects become pairs; a list is one value.
fn flatten(value: &Value, name: &str, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(value, key, pairs);
            }
        }
        Value::Null => {}
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        Value::Array(values) => {
            let texts = values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            pairs.push((name.to_owned(), texts.collect::<Vec<_>>().join(", ")));
        }
        other => pairs.push((name.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_asked_for_is_a_line() {
        let html = of(&json!({ "jobs": { "ids": [1, 2], "count": 2 }, "change": { "priority": 3, "at": null } }));
        let text = html.into_string();
        for part in ["ids </span>1, 2", "count </span>2", "priority </span>3"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("null"), "{text}");
    }
}

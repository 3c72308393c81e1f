//! `/failures`: what is broken, since when, and since which version.

use axum::extract::State;
use maud::{Markup, html};
use pgq_queue::{FailureGroup, Failures};

use super::badge::{Tone, badge};
use super::content::{Content, Section};
use super::desk::Desk;
use super::fields::Fields;
use super::icon::Icon;
use super::jobs::filter::query;
use super::shown::{brief, shown};
use super::units::{ago, count, many};
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Groups of a page.
const PAGE: usize = 30;

pub(crate) async fn failures(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    let known = desk.failures().await.or_problem()?;
    let entrypoint = fields.text("entrypoint");
    let page: usize = fields.parse("page", "the number of a page")?.unwrap_or_default();
    let groups: Vec<&FailureGroup> = known
        .groups
        .iter()
        .filter(|group| entrypoint.is_none_or(|name| group.cause.entrypoint.contains(name)))
        .collect();
    let from = page.saturating_mul(PAGE).min(groups.len());
    let body = html! {
        @if groups.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Done.svg()) }
                p.lead { @if entrypoint.is_some() { "No failure of such an entrypoint." } @else { "Nothing has failed." } }
                p.muted { "Failed runs appear here by their cause, with the version of the plugin in which it began." }
            }
        }
        @for group in groups[from..].iter().take(PAGE) { (card(&desk, &visitor, group)) }
        @if groups.len() > PAGE {
            nav.pager aria-label="Pages of the causes" {
                @let link = |page: usize| desk.link(&format!("/failures{}", query(&[("entrypoint", entrypoint.unwrap_or("")), ("page", &page.to_string())])));
                @if page > 0 { a.button rel="prev" href=(link(page - 1)) { "Page before" } }
                @if from + PAGE < groups.len() { a.button rel="next" href=(link(page + 1)) { "Next page" } }
            }
        }
        (looked_at(&known))
    };
    let above = html! {
        div.head {
            h1 { "Failures" }
            p.muted { "By cause, the latest first" }
            @if known.groups.len() > 5 || entrypoint.is_some() {
                form.find method="get" action=(desk.link("/failures")) role="search" aria-label="Causes" { input name="entrypoint" value=(entrypoint.unwrap_or("")) placeholder="Part of an entrypoint" aria-label="Find causes by a part of the entrypoint" autocomplete="off"; }
            }
        }
    };
    Ok(Content::new(Section::Failures, "Failures", body).below(above).live())
}

/// How far the look went.
fn looked_at(failures: &Failures) -> Markup {
    html! {
        @if !failures.groups.is_empty() {
            p.muted.small {
                @match failures.counted_to {
                    Some(to) => { "Hosts have counted the failures up to " (ago(to)) "; " (count(failures.looked_at)) " later ones are counted in." }
                    None => { "From the latest " (count(failures.looked_at)) " failed runs" @if let Some(since) = failures.since { ", back to " (ago(since)) } "." }
                }
                @if failures.cut { " There are others that were not looked at: a cause may have begun before." }
                @if failures.causes_cut { " There are more causes, which did not occur lately." }
                @if failures.held_cut { " More jobs are held than were looked at." }
            }
        }
    }
}

fn card(desk: &Desk, visitor: &Visitor, group: &FailureGroup) -> Markup {
    let cause = &group.cause;
    let change = |verb: &str| {
        desk.link(&format!(
            "/jobs/change{}",
            query(&[("verb", verb), ("status", "failed"), ("entrypoint", &cause.entrypoint), ("cause", &group.key)])
        ))
    };
    html! {
        article.card.bad id=(group.key) {
            div.card-head {
                h2.card-title {
                    a.name.open href=(desk.link(&format!("/jobs{}", query(&[("status", "failed"), ("entrypoint", &cause.entrypoint), ("cause", &group.key)])))) { (brief(&cause.entrypoint)) }
                    " " span.muted { (shown(&cause.exception_type)) }
                }
                div.badges {
                    (badge(Tone::Bad, Icon::Failed, &many(usize::try_from(group.failures).unwrap_or_default(), "failed run")))
                    @if group.held > 0 { (badge(Tone::Warn, Icon::Paused, &format!("{} held", count(group.held)))) }
                }
            }
            p.cause { (brief(&cause.message)) }
            @if let Some(frame) = &cause.frame { p.frame-line { "in " (brief(frame)) } }
            (began(desk, group))
            div.stat-row {
                span { "First seen " strong { (ago(group.first_seen)) } }
                span { "Last seen " strong { (ago(group.last_seen)) } }
                @if !group.examples.is_empty() {
                    span { "Jobs " @for id in &group.examples { a.mono href=(desk.link(&format!("/jobs/{id}"))) { "#" (id) } " " } }
                }
            }
            @if group.last_message.trim() != cause.message.trim() {
                details.more { summary { "The latest message" } pre.code.error-message tabindex="0" { (shown(&group.last_message)) } }
            }
            @if group.held > 0 && visitor.role >= Role::Operator {
                div.actions {
                    a.button.main href=(change("requeue")) { (Icon::Retry.svg()) "Retry the held ones\u{2026}" }
                    a.button.danger href=(change("cancel")) { (Icon::Failed.svg()) "Cancel the held ones\u{2026}" }
                }
            }
        }
    }
}

/// The version that began it, and those that have it as well.
fn began(desk: &Desk, group: &FailureGroup) -> Markup {
    let version = |version: &pgq_queue::FailingVersion| {
        html! {
            a href=(desk.link(&format!("/plugins#{}", version.plugin))) { strong { (brief(&version.plugin)) " " (brief(&version.version)) } }
            " " code.sha title=(version.sha256) { (shown(version.sha256.get(..8).unwrap_or(&version.sha256))) }
        }
    };
    html! {
        @if let Some((first, others)) = group.versions.split_first() {
            div.began {
                (Icon::Plugins.svg())
                span { "Began with " (version(first)) " " (ago(first.first_seen)) }
                @if !others.is_empty() { span.muted { "and occurs in " @for (place, other) in others.iter().take(4).enumerate() { @if place > 0 { ", " } (version(other)) } @if others.len() > 4 { " and " (others.len() - 4) " more" } } }
            }
        }
    }
}

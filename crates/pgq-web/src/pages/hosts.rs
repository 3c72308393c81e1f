//! `/hosts`: who works on the queue, and what each serves.

use axum::extract::State;
use maud::{Markup, html};
use pgq_queue::{FleetHost, OtherWorker, ServedFile};

use super::badge::{Tone, badge};
use super::content::{Content, Section};
use super::desk::Desk;
use super::icon::Icon;
use super::overview::state;
use super::shown::{brief, shown};
use super::units::{ago, count, many};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Hosts of the page.
const MOST: usize = 200;

pub(crate) async fn hosts(State(desk): State<Desk>, _: Visitor) -> Result<Content, Problem> {
    let fleet = desk.fleet().await.or_problem()?;
    let body = html! {
        @if fleet.hosts.is_empty() && fleet.others.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Hosts.svg()) }
                p.lead { "Nobody works on this queue." }
                p.muted { "Start a host with a folder of plugins:" }
                pre.command { "pgq-host run --plugins plugins" }
            }
        }
        div.cards-grid { @for host in fleet.hosts.iter().take(MOST) { (card(&desk, host)) } }
        @if fleet.hosts.len() > MOST { p.muted { (many(fleet.hosts.len() - MOST, "more host")) ": " code { "pgq-host plugin list --hosts" } } }
        @if !fleet.others.is_empty() { (others(&fleet.others)) }
    };
    let above = html! { div.head { h1 { "Hosts" } p.muted { "Each announces itself every minute" } } };
    Ok(Content::new(Section::Hosts, "Hosts", body).below(above).live())
}

fn card(desk: &Desk, host: &FleetHost) -> Markup {
    html! {
        article.card.bad[host.lost] {
            div.card-head {
                h2.card-title.mono { (shown(&host.label())) }
                (state(host))
            }
            div.stat-row {
                span { "Holds " strong { (many(usize::try_from(host.jobs).unwrap_or_default(), "job")) } }
                span { "Since " strong { (ago(host.started)) } }
                span { "Seen " strong { (ago(host.seen)) } }
                @if let Some(heartbeat) = host.oldest_heartbeat { span { "Oldest heartbeat " strong { (ago(heartbeat)) } } }
            }
            p.small.muted.break { (shown(&host.version)) " \u{b7} " span.mono { (host.id) } }
            @if host.plugins.is_empty() { p.muted { "It serves no plugin." } }
            div { @for file in &host.plugins { (self::file(desk, file)) } }
        }
    }
}

fn file(desk: &Desk, file: &ServedFile) -> Markup {
    let name = file.plugin.as_deref().or(file.file.as_deref()).unwrap_or("?");
    html! {
        div.version-row {
            div {
                p { @if file.plugin.is_some() { a.name href=(desk.link(&format!("/plugins#{name}"))) { (brief(name)) } } @else { span.name { (brief(name)) } }
                    @if let Some(version) = &file.version { " " (brief(version)) }
                    @if let Some(sha256) = &file.sha256 { " " code.sha title=(sha256) { (shown(sha256.get(..8).unwrap_or(sha256))) } } }
                @if let Some(error) = &file.error { p.small.error-text { (brief(error)) } }
                @if !file.paused.is_empty() { p.small { "Breaker open: " (brief(&file.paused.join(", "))) } }
                @if !file.held.is_empty() { p.small { "Paused by an operator: " (brief(&file.held.join(", "))) } }
            }
            div.badges {
                @if file.plugin.is_none() { (badge(Tone::Bad, Icon::Failed, "refused")) }
                @else if file.error.is_some() { (badge(Tone::Bad, Icon::Failed, "file refused")) }
                @if let Some(canary) = &file.canary { (badge(Tone::Busy, Icon::Deferred, &format!("canary {}", canary.version))) }
                @if !file.paused.is_empty() { (badge(Tone::Bad, Icon::Paused, "breaker")) }
                @if !file.held.is_empty() { (badge(Tone::Warn, Icon::Paused, "paused")) }
            }
        }
    }
}

fn others(others: &[OtherWorker]) -> Markup {
    html! {
        section.panel.flush {
            div.panel-head { h2 { "Other workers" span.muted { " PgQueuer's, in Python, that hold jobs" } } }
            table.cards {
                thead { tr { th scope="col" { "Worker" } th.n scope="col" { "Jobs" } th scope="col" { "Entrypoints" } th scope="col" { "Oldest heartbeat" } } }
                tbody {
                    @for worker in others {
                        tr {
                            th.mono scope="row" { (worker.queue_manager_id) }
                            td.n data-label="Jobs" { (count(worker.jobs)) }
                            td data-label="Entrypoints" { (brief(&worker.entrypoints.join(", "))) }
                            td data-label="Oldest heartbeat" { (ago(worker.oldest_heartbeat)) }
                        }
                    }
                }
            }
        }
    }
}

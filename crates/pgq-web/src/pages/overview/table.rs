//! The entrypoints, those in trouble first.

use maud::{Markup, html};
use pgq_queue::{EntrypointLook, FleetHost, Overview, SaidByHosts};

use super::tiles::amount;
use crate::pages::badge::{Tone, badge};
use crate::pages::desk::Desk;
use crate::pages::fields::Fields;
use crate::pages::icon::Icon;
use crate::pages::jobs::filter::query;
use crate::pages::shown::{brief, shown};
use crate::pages::units::{count, micros, percent, span};
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Entrypoints of a page.
const PAGE: usize = 50;

/// What is asked for of the table.
#[derive(Debug, Clone, Default)]
pub(super) struct Picked {
    name: Option<String>,
    page: usize,
}

impl Picked {
    pub(super) fn read(fields: &Fields) -> Result<Picked, Problem> {
        let page = fields.parse("page", "the number of a page")?.unwrap_or_default();
        Ok(Picked { name: fields.text("name").map(str::to_owned), page })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.page == 0
    }

    /// The name, if it may be one that the look did not reach.
    pub(super) fn whole_name(&self, overview: &Overview) -> Option<String> {
        let name = self.name.as_ref().filter(|_| overview.next.is_some())?;
        (!overview.entrypoints.iter().any(|one| one.entrypoint.contains(name.as_str()))).then(|| name.clone())
    }
}

pub(super) fn entrypoints(
    desk: &Desk,
    visitor: &Visitor,
    overview: &Overview,
    found: Option<&Overview>,
    hosts: &[FleetHost],
    picked: &Picked,
) -> Markup {
    let all = overview.entrypoints.iter().chain(found.iter().flat_map(|found| &found.entrypoints));
    let fits = |one: &&EntrypointLook| picked.name.as_ref().is_none_or(|name| one.entrypoint.contains(name.as_str()));
    let mut all: Vec<&EntrypointLook> = all.filter(fits).collect();
    all.sort_by(|one, other| other.trouble().cmp(&one.trouble()).then(one.entrypoint.cmp(&other.entrypoint)));
    let from = picked.page.saturating_mul(PAGE).min(all.len());
    let shown: Vec<_> = all[from..].iter().take(PAGE).collect();
    let page = |page: usize| {
        let (name, page) = (picked.name.as_deref().unwrap_or(""), page.to_string());
        desk.link(&format!("/{}", query(&[("name", name), ("page", &page)])))
    };
    html! {
        section.panel.flush {
            div.panel-head {
                h2 { "Entrypoints" span.muted { " " (count(i64::try_from(all.len()).unwrap_or_default())) @if overview.next.is_some() { "+" } ", those in trouble first" } }
                @if overview.entrypoints.len() > 8 || picked.name.is_some() {
                    form.find method="get" action=(desk.link("/")) role="search" aria-label="Entrypoints" {
                        input name="name" value=(picked.name.as_deref().unwrap_or("")) placeholder="Part of a name" aria-label="Find entrypoints by a part of their name" autocomplete="off";
                    }
                }
            }
            @if shown.is_empty() { p.muted.pad { "No entrypoint has this in its name." } }
            @else {
                table.cards.rows {
                    caption.hidden { "Entrypoints" }
                    thead { tr { th scope="col" { "Entrypoint" } th.n scope="col" { "Due" } th.n scope="col" { "Oldest" } th.n scope="col" { "Running" } th.n scope="col" { "Held" } th.n scope="col" { "Ended, 5 min" } th.n scope="col" { "Failed" } th.n scope="col" { "Run time p50 / p95" } th scope="col" { "State" } @if visitor.role >= Role::Operator { th scope="col" { span.hidden { "Change" } } } } }
                    tbody { @for one in shown { (row(desk, visitor, one, SaidByHosts::of(hosts, &one.entrypoint))) } }
                }
            }
            @if overview.next.is_some() { p.muted.pad.small { "There are more entrypoints than a look takes, " (count(i64::try_from(overview.entrypoints.len()).unwrap_or_default())) ". Find the others by their whole name." } }
            @if all.len() > PAGE {
                nav.pager.pad aria-label="Pages of the entrypoints" {
                    @if picked.page > 0 { a.button rel="prev" href=(page(picked.page - 1)) { "Page before" } }
                    @if from + PAGE < all.len() { a.button rel="next" href=(page(picked.page + 1)) { "Next page" } }
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn row(desk: &Desk, visitor: &Visitor, one: &EntrypointLook, said: SaidByHosts) -> Markup {
    let name = one.entrypoint.as_str();
    let jobs = |status: &str| desk.link(&format!("/jobs{}", query(&[("status", status), ("entrypoint", name)])));
    let (ended, failed) = (one.lately.five_minutes.ended(), one.failed_lately());
    let late = one.depth.oldest_seconds.is_some_and(|oldest| oldest > 60.0);
    html! {
        tr {
            th scope="row" { a.name.open href=(desk.link(&format!("/jobs{}", query(&[("entrypoint", name)])))) { (brief(name)) } }
            td.n data-label="Due" { @if one.depth.due.jobs > 0 { a href=(jobs("queued")) { (amount(one.depth.due)) } } @else { span.muted { "0" } } }
            td.n data-label="Oldest" { @match one.depth.oldest_seconds { Some(oldest) => span.late[late] { (span(oldest)) }, None => span.muted { "\u{2013}" } } }
            td.n data-label="Running" { @if one.depth.running.jobs > 0 { a href=(jobs("picked")) { (amount(one.depth.running)) } } @else { span.muted { "0" } } }
            td.n data-label="Held" { @if one.depth.held.jobs > 0 { a.held href=(jobs("failed")) { (amount(one.depth.held)) } } @else { span.muted { "0" } } }
            td.n data-label="Ended, 5 min" { (count(ended)) }
            td.n data-label="Failed" { @if failed > 0 { span.held { (percent(failed as f64, ended as f64)) } } @else { span.muted { "0 %" } } }
            td.n data-label="Run time" { @match &one.runs { Some(runs) => { (micros(runs.p50_us)) span.muted { " / " (micros(runs.p95_us)) } }, None => span.muted { "\u{2013}" } } }
            td data-label="State" { div.badges { (states(said)) } }
            @if visitor.role >= Role::Operator {
                td.end { a.button.tiny href=(desk.link(&format!("/pauses{}", query(&[("kind", "entrypoint"), ("name", name)])))) aria-label={ "Pause " (shown(name).into_string()) } { (Icon::Paused.svg()) "Pause" } }
            }
        }
    }
}

fn states(said: SaidByHosts) -> Markup {
    html! {
        @if said.served == 0 { (badge(Tone::Warn, Icon::Warning, "no host serves it")) }
        @if said.breaker > 0 { (badge(Tone::Bad, Icon::Paused, &format!("breaker open on {}", said.breaker))) }
        @if said.held > 0 { (badge(Tone::Warn, Icon::Paused, "paused")) }
        @if said.canary > 0 { (badge(Tone::Busy, Icon::Deferred, "canary")) }
        @if said.served > 0 && said.breaker + said.held + said.canary == 0 { (badge(Tone::Good, Icon::Done, "served")) }
    }
}

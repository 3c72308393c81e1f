//! The first page.

use axum::extract::State;
use futures_util::future::{join, join5};
use maud::{Markup, html};

use super::{charts, glance, table, tiles, troubles};
use crate::pages::content::{Content, Section};
use crate::pages::desk::Desk;
use crate::pages::fields::Fields;
use crate::pages::icon::Icon;
use crate::problem::Problem;
use crate::visitor::Visitor;

pub(crate) async fn overview(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    // At once, so that a database that is silent is waited for once. The banners ask for the pauses.
    let looks = join5(desk.overview(), desk.failures(), desk.fleet(), desk.latency(), desk.pauses());
    let ((overview, failures, fleet, latency, _), troubles) = Box::pin(join(looks, desk.troubles())).await;
    let troubles = troubles.value.map(|(_, troubles)| troubles).unwrap_or_default();
    let overview = overview.or_problem()?;
    let failures = failures.value.as_ref().map(|(_, failures)| failures.as_ref());
    let hosts = fleet.value.as_ref().map(|(_, fleet)| fleet.hosts.as_slice()).unwrap_or_default();
    let latency = latency.value.map(|(_, latency)| latency).unwrap_or_default();
    let picked = table::Picked::read(&fields)?;
    let is_new = overview.entrypoints.is_empty() && picked.is_empty();
    let found = match picked.whole_name(&overview) {
        Some(name) => Some(desk.overview_of(name).await?),
        None => None,
    };
    let body = html! {
        (troubles::troubles(&troubles))
        (tiles::tiles(&desk, &overview, failures, hosts))
        @if is_new {
            (nothing_yet(hosts.is_empty()))
        } @else {
            (charts::charts(&overview, &latency))
            div.grid-wide {
                (glance::causes(&desk, failures))
                (glance::hosts(&desk, hosts))
            }
            (table::entrypoints(&desk, &visitor, &overview, found.as_ref(), hosts, &picked))
        }
    };
    Ok(Content::new(Section::Overview, "Overview", body).below(html! { div.head { h1 { "Overview" } } }).live())
}

fn nothing_yet(no_host: bool) -> Markup {
    html! {
        div.empty {
            p.empty-sign { (Icon::Overview.svg()) }
            p.lead { "Nothing has run here yet." }
            @if no_host {
                p.muted { "No host is on this queue. Start one with a folder of plugins:" }
                pre.command { "pgq-host run --plugins plugins" }
            } @else {
                p.muted { "A host waits for jobs. Put one into the queue:" }
                pre.command { "pgq-host queue ENTRYPOINT '{\"hello\": \"world\"}'" }
            }
        }
    }
}

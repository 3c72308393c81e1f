//! The most important numbers.

use maud::{Markup, html};
use pgq_queue::{Amount, Failures, FleetHost, Overview, Totals};

use crate::pages::desk::Desk;
use crate::pages::icon::Icon;
use crate::pages::units::{self, count, micros, percent, span};

/// A number of jobs, and whether there are more.
pub(super) fn amount(amount: Amount) -> String {
    format!("{}{}", count(amount.jobs), if amount.more { "+" } else { "" })
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(super) fn tiles(desk: &Desk, overview: &Overview, failures: Option<&Failures>, hosts: &[FleetHost]) -> Markup {
    let Totals { due, deferred, running, held, oldest_seconds: oldest, ended, failed } = overview.totals();
    let groups = failures.map_or(0, |failures| failures.groups.len());
    let waits_long = oldest.is_some_and(|oldest| oldest > 60.0);
    html! {
        section.tiles aria-label="At a glance" {
            a.tile.warn[waits_long] href=(desk.link("/jobs?status=queued")) {
                span.tile-name { (Icon::Queued.svg()) "Due" }
                span.tile-value { (amount(due)) }
                span.tile-note { @match oldest { Some(oldest) => { "the oldest for " span.nowrap { (span(oldest)) } }, None => "nobody waits" } @if deferred.jobs > 0 { ", " span.nowrap { (amount(deferred)) " later" } } }
            }
            a.tile href=(desk.link("/jobs?status=picked")) {
                span.tile-name { (Icon::Running.svg()) "Running" }
                span.tile-value { (amount(running)) }
                span.tile-note { "on " (units::many(hosts.len(), "host")) }
            }
            div.tile {
                span.tile-name { (Icon::Done.svg()) "Ended, last 5 min" }
                span.tile-value { (rate(ended)) }
                span.tile-note { (many(ended)) }
            }
            a.tile.bad[failed > 0] href=(desk.link("/failures")) {
                span.tile-name { (Icon::Failures.svg()) "Failed, last 5 min" }
                span.tile-value { (percent(failed as f64, ended as f64)) }
                span.tile-note { (many(failed)) ", " (units::many(groups, "cause")) }
            }
            a.tile.bad[held.jobs > 0] href=(desk.link("/jobs?status=failed")) {
                span.tile-name { (Icon::Failed.svg()) "Held" }
                span.tile-value { (amount(held)) }
                span.tile-note { (if held.jobs > 0 { "wait for a decision" } else { "nothing to decide" }) }
            }
            div.tile {
                span.tile-name { (Icon::Deferred.svg()) "Run time, p50" }
                span.tile-value { @match &overview.runs { Some(runs) => (micros(runs.p50_us)), None => "\u{2013}" } }
                span.tile-note {
                    @if let Some(runs) = &overview.runs { span.nowrap { "p95 " (micros(runs.p95_us)) } @if let Some(waited) = runs.waited_p50_us { ", " span.nowrap { "waits " (micros(waited)) } } } @else { "no run lately" }
                }
            }
        }
    }
}

fn many(jobs: i64) -> String {
    units::many(usize::try_from(jobs).unwrap_or_default(), "job")
}

/// Jobs a second, of five minutes.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(jobs: i64) -> String {
    let rate = jobs as f64 / 300.0;
    match rate {
        0.0 => "0/s".into(),
        rate if rate < 9.95 => format!("{rate:.1}/s"),
        #[expect(clippy::cast_possible_truncation, reason = "a rate for people")]
        rate => format!("{}/s", count(rate.round() as i64)),
    }
}

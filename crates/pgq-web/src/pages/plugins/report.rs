//! What a version may do, what it was denied, and which limits its runs hit.

use maud::{Markup, html};
use pgq_queue::VersionReport;

use crate::pages::shown::{brief, shown};

/// Lines of each kind.
const SHOWN: usize = 12;

pub(super) fn report(report: &VersionReport) -> Markup {
    let (denied, limits) = (&report.denied, &report.limits);
    html! {
        @if !limits.is_empty() {
            p.small {
                span.error-text { strong { "limits hit" } } ": "
                @for (place, (limit, times)) in limits.iter().enumerate() { @if place > 0 { ", " } (shown(limit)) " " (times) "\u{d7}" }
            }
        }
        @for denial in denied.iter().take(SHOWN) {
            p.small {
                span.error-text { strong { "denied" } } " " (shown(&denial.what)) " " code { (brief(&denial.target)) } " " (denial.times) "\u{d7}: " (brief(&denial.why))
            }
        }
        @if denied.len() > SHOWN { p.small.muted { "and " (denied.len() - SHOWN) " more" } }
        @for missing in report.missing.iter().take(SHOWN) { p.small { span.error-text { strong { "not granted" } } ": " (brief(missing)) } }
        @if report.grants.is_empty() {
            p.small.muted { "may use nothing outside of its sandbox" }
        } @else {
            details.more {
                summary { "may use " (report.grants.len()) " " @if report.grants.len() == 1 { "thing" } @else { "things" } " outside of its sandbox" }
                ul.small { @for grant in &report.grants { li { (shown(&grant.kind)) " " code { (brief(&grant.name)) } } } }
            }
        }
    }
}

//! A version of a plugin, in a row.

use maud::{Markup, html};
use pgq_queue::{JudgementLook, SignerLook, VersionLook};

use super::report;
use crate::pages::action::{self, Button};
use crate::pages::badge::{Tone, badge};
use crate::pages::desk::Desk;
use crate::pages::icon::Icon;
use crate::pages::jobs::filter::query;
use crate::pages::shown::{brief, shown};
use crate::pages::units::{ago, bytes, many, micros, percent};
use crate::visitor::Visitor;

/// Verdicts that are shown of a version.
const JUDGEMENTS: usize = 6;

fn is_served(version: &VersionLook) -> bool {
    !version.stable_on.is_empty() || !version.canary_on.is_empty()
}

fn is_condemned(version: &VersionLook) -> bool {
    version
        .judgements
        .iter()
        .any(|judgement| matches!(judgement.verdict.as_str(), "rolled_back" | "refused" | "quarantined"))
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(super) fn version(
    desk: &Desk,
    visitor: &Visitor,
    plugin: &str,
    version: &VersionLook,
    all: &[VersionLook],
) -> Markup {
    let sha256 = version.sha256.as_str();
    let short = sha256.get(..12).unwrap_or(sha256);
    // Hosts keep what they served before; without such a version there is no way back.
    let has_before = all.iter().any(|other| other.sha256 != version.sha256 && !is_condemned(other));
    html! {
        div.version-row {
            div {
                p {
                    strong { (brief(&version.version)) } " "
                    a href=(desk.link(&format!("/jobs{}", query(&[("plugin", sha256)])))) title=(sha256) { code.sha { (shown(short)) } }
                    @if let Some(first) = version.first_served { span.muted { " since " (ago(first)) } }
                    @if !version.signed_by.is_empty() { span.muted { ", signed by " (brief(&SignerLook::list(&version.signed_by))) } }
                }
                @if let Some(runs) = &version.runs {
                    div.stat-row {
                        span { strong { (micros(runs.p50_us)) } " p50" }
                        span { strong { (micros(runs.p95_us)) } " p95" }
                        span { strong { (bytes(runs.memory_p95_bytes)) } " memory" }
                        @if let Some(failed) = runs.failed { span.error-text[failed > 0] { strong { (percent(failed as f64, runs.runs as f64)) } " of " (runs_of(runs.runs)) " failed" } }
                        @else { span { (runs_of(runs.runs)) " looked at" } }
                    }
                }
                @for judgement in version.judgements.iter().take(JUDGEMENTS) { (self::judgement(judgement)) }
                @for refused in &version.errors {
                    p.small { span.error-text { strong { "refused" } } ": " (brief(&refused.error)) span.muted { " (" (brief(&refused.hosts.join(", "))) ")" } }
                }
                @if let Some(report) = &version.report { (report::report(report)) }
            }
            div.version-end {
                div.badges {
                    @if !version.stable_on.is_empty() { (badge(Tone::Good, Icon::Done, &on("served on", version.stable_on.len()))) }
                    @if !version.canary_on.is_empty() { (badge(Tone::Busy, Icon::Deferred, &on("canary on", version.canary_on.len()))) }
                    @if version.judgements.iter().any(|judgement| judgement.verdict == "rolled_back") { (badge(Tone::Bad, Icon::Back, "rolled back")) }
                    @if version.is_quarantined() { (badge(Tone::Bad, Icon::Canceled, "quarantined")) }
                }
                @if is_served(version) && has_before {
                    (action::opens(desk, visitor, "/plugins/rollback", &[("name", plugin), ("sha256", sha256)], &Button::danger(Icon::Back, "Roll back"), html! {
                        p { "No host serves this version any more. Each goes back to the version that it served before, if it has one." }
                        (action::reason(false))
                    }))
                }
                @if version.is_quarantined() {
                    (action::opens(desk, visitor, "/plugins/lift", &[("sha256", sha256)], &Button::calm(Icon::Play, "Lift"), html! {
                        p { "Hosts whose folder has this file serve it again." }
                        (action::reason(false))
                    }))
                } @else {
                    (action::opens(desk, visitor, "/plugins/quarantine", &[("name", plugin), ("sha256", sha256)], &Button::danger(Icon::Canceled, "Quarantine"), html! {
                        p { "No host serves this file until the quarantine is lifted, not even after a reset or a restart. A host that serves it goes back to the version before; without one, its jobs wait. Runs that have begun end." }
                        (action::reason(true))
                    }))
                }
            }
        }
    }
}

fn runs_of(runs: i64) -> String {
    many(usize::try_from(runs).unwrap_or_default(), "run")
}

fn on(what: &str, hosts: usize) -> String {
    format!("{what} {hosts}")
}

fn judgement(judgement: &JudgementLook) -> Markup {
    let is_good = judgement.verdict == "good";
    html! {
        p.small {
            @if is_good { span.muted { "does not crash, as " (brief(&judgement.host)) " found " (ago(judgement.judged)) } }
            @else {
                span.error-text { strong { (shown(&judgement.verdict.replace('_', " "))) } }
                @if let Some(entrypoint) = &judgement.entrypoint { " " span.name { (brief(entrypoint)) } }
                ": " (brief(&judgement.reason))
                span.muted { " (" (brief(&judgement.host)) ", " (ago(judgement.judged)) @if let Some(until) = judgement.until { ", until " (ago(until)) } ")" }
            }
        }
    }
}

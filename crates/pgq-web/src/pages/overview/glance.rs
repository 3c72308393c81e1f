//! The latest causes of failures, and the hosts, each in a line.

use maud::{Markup, html};
use pgq_queue::{FailureGroup, Failures, FleetHost};

use crate::pages::badge::{Tone, badge};
use crate::pages::desk::Desk;
use crate::pages::icon::Icon;
use crate::pages::shown::{brief, cut, shown};
use crate::pages::units::{ago, count, many};

const CAUSES: usize = 5;
const HOSTS: usize = 6;

pub(super) fn causes(desk: &Desk, failures: Option<&Failures>) -> Markup {
    let mut groups: Vec<&FailureGroup> = failures.iter().flat_map(|failures| &failures.groups).collect();
    // What has begun lately is what somebody looks for.
    groups.sort_by_key(|group| std::cmp::Reverse(group.first_seen));
    html! {
        section.panel.flush {
            div.panel-head { h2 { "Failures by cause" span.muted { " the newest cause first" } } a href=(desk.link("/failures")) { "All of them" } }
            @if groups.is_empty() { p.muted.pad { "Nothing failed lately." } }
            ul.list.rows-list {
                @for group in groups.iter().take(CAUSES) {
                    li {
                        div.list-main {
                            p { a.open href=(desk.link(&format!("/failures#{}", group.key))) { span.name { (brief(&group.cause.entrypoint)) } } " " span.muted { (shown(&group.cause.exception_type)) } }
                            p.cause { (cut(&group.cause.message, 120)) }
                            @if let Some(first) = group.versions.first() {
                                p.small.muted { "began with " (brief(&first.plugin)) " " strong { (brief(&first.version)) } " " code.sha title=(first.sha256) { (shown(first.sha256.get(..8).unwrap_or(&first.sha256))) } ", " (ago(group.first_seen)) }
                            }
                        }
                        div.list-end {
                            (badge(Tone::Bad, Icon::Failed, &count(group.failures)))
                            span.small.muted { (ago(group.last_seen)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn hosts(desk: &Desk, hosts: &[FleetHost]) -> Markup {
    html! {
        section.panel.flush {
            div.panel-head { h2 { "Hosts" } a href=(desk.link("/hosts")) { "All of them" } }
            @if hosts.is_empty() { p.muted.pad { "No host is on this queue: " code { "pgq-host run --plugins plugins" } } }
            ul.list {
                @for host in hosts.iter().take(HOSTS) {
                    li {
                        div.list-main {
                            p.mono { (shown(&host.label())) }
                            p.small.muted { (brief(host.version.split_whitespace().next().unwrap_or(&host.version))) ", " (many(usize::try_from(host.jobs).unwrap_or_default(), "job")) ", since " (ago(host.started)) }
                        }
                        div.list-end { (state(host)) }
                    }
                }
                @if hosts.len() > HOSTS { li { a href=(desk.link("/hosts")) { (many(hosts.len() - HOSTS, "more host")) } } }
            }
        }
    }
}

/// The worst of what a host says of itself.
pub(crate) fn state(host: &FleetHost) -> Markup {
    let broken = host.plugins.iter().filter(|file| file.error.is_some()).count();
    html! {
        @if host.lost { (badge(Tone::Bad, Icon::Warning, "silent")) }
        @else if broken > 0 { (badge(Tone::Bad, Icon::Failed, &many(broken, "refused file"))) }
        @else if host.plugins.iter().any(|file| !file.paused.is_empty()) { (badge(Tone::Warn, Icon::Paused, "breaker open")) }
        @else if host.plugins.iter().any(|file| file.canary.is_some()) { (badge(Tone::Busy, Icon::Deferred, "canary")) }
        @else { (badge(Tone::Good, Icon::Done, &many(host.plugins.len(), "plugin"))) }
    }
}

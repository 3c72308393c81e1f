//! What is wrong around the queue, above everything else.

use maud::{Markup, html};
use pgq_queue::{MissingHost, OpenTransaction, Troubles};

use crate::pages::icon::Icon;
use crate::pages::shown::{brief, shown};
use crate::pages::units::{ago, many, span};

const SHOWN: usize = 3;

pub(super) fn troubles(troubles: &Troubles) -> Markup {
    let (transactions, hosts) = (&troubles.transactions, &troubles.hosts);
    html! {
        @for open in transactions.iter().take(SHOWN) { (transaction(open)) }
        @if transactions.len() > SHOWN { p.banner.warn { (Icon::Warning.svg()) (many(transactions.len() - SHOWN, "more transaction")) " are open: " code { "pgq-host doctor" } } }
        @for missing in hosts.iter().take(SHOWN) { (host(missing)) }
        @if hosts.len() > SHOWN { p.banner.warn { (Icon::Warning.svg()) (many(hosts.len() - SHOWN, "more host")) " are gone or silent: " code { "pgq-host overview" } } }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn transaction(open: &OpenTransaction) -> Markup {
    html! {
        div.banner.warn role="status" {
            (Icon::Warning.svg())
            div.grow {
                p {
                    strong { "A transaction has been open for " (span(open.open_seconds as f64)) }
                    " (" (shown(open.state.as_deref().unwrap_or("open"))) "): role " (brief(open.role.as_deref().unwrap_or("?")))
                    @if !open.application.is_empty() { ", " (brief(&open.application)) }
                    @if let Some(address) = &open.address { ", from " (shown(address)) }
                    @if let Some(pid) = open.pid { ", process " (pid) }
                    "."
                }
                p.small {
                    @if open.holds_back { "Rows of jobs that ended since then cannot be removed, and claims slow down as they read past them. " }
                    @else { "It may hold locks that an upgrade waits for. " }
                    "To end it: " code { (shown(&open.remedy())) }
                }
            }
        }
    }
}

fn host(missing: &MissingHost) -> Markup {
    html! {
        div.banner.warn role="status" {
            (Icon::Hosts.svg())
            div.grow {
                @match missing.died {
                    Some(died) => {
                        p { strong { "Host " (shown(&missing.label())) " is gone" } " since " (ago(died)) ": its sessions ended without a word." }
                        p.small { "It died, or it is cut off from the database. Its jobs were put back, and other hosts run them." }
                    }
                    None => {
                        p { strong { "Host " (shown(&missing.label())) " is silent" } ": it announced itself last " (ago(missing.seen)) " and holds " (many(usize::try_from(missing.jobs).unwrap_or_default(), "job")) "." }
                        p.small { "It is cut off from the database, or stopped. Its jobs are put back once their leases are over." }
                    }
                }
            }
        }
    }
}

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
                    " (" (shown(open.state.as_deref().unwrap_or("open"))) "): " (brief(&open.who())) "."
                }
                p.small { (sentence(open.harm())) " To end it: " code { (shown(&open.remedy())) } }
            }
        }
    }
}

fn host(missing: &MissingHost) -> Markup {
    html! {
        div.banner.warn role="status" {
            (Icon::Hosts.svg())
            div.grow {
                p { strong { (shown(&sentence(&missing.what()))) } " It was there last " (ago(missing.died.unwrap_or(missing.seen))) "." }
                p.small { (sentence(&missing.why())) }
            }
        }
    }
}

/// Words that stand in a line elsewhere, as a sentence.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).chain(['.']).collect()).unwrap_or_default()
}

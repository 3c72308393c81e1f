//! What everybody has to know on every page: a database that does not answer, and what is paused.

use maud::{Markup, html};
use pgq_queue::PauseRow;

use super::action::{self, Button};
use super::desk::Desk;
use super::icon::Icon;
use super::shown::{brief, shown};
use super::units::{ago, many};
use crate::visitor::Visitor;

/// Pauses that are told one by one.
const TOLD: usize = 3;

/// `again`: as part of an answer to a tick.
pub(crate) async fn banners(desk: &Desk, visitor: &Visitor, again: bool) -> Markup {
    let known = desk.pauses().await;
    let pauses = known.value.as_ref().map(|(_, pauses)| pauses.as_slice()).unwrap_or_default();
    html! {
        div #banners hx-swap-oob=[again.then_some("true")] {
            @if let Some(error) = &known.error {
                div.banner.bad role="alert" {
                    (Icon::Warning.svg())
                    div {
                        p { strong { "The database does not answer." } " What you see may be old. " (match &known.value {
                            Some((at, _)) => html! { "It last answered " (ago(*at)) "." },
                            None => html! { "It has not answered since this page was started." },
                        }) }
                        p.mono.small { (brief(error)) }
                    }
                }
            }
            @for pause in pauses.iter().take(TOLD) { (banner(desk, visitor, pause)) }
            @if pauses.len() > TOLD {
                p.banner.warn { (Icon::Paused.svg()) a href=(desk.link("/pauses")) { (many(pauses.len() - TOLD, "more pause")) " in force" } }
            }
        }
    }
}

fn banner(desk: &Desk, visitor: &Visitor, pause: &PauseRow) -> Markup {
    html! {
        div.banner.warn role="status" {
            (Icon::Paused.svg())
            div.grow {
                p {
                    strong { "Paused: " (what(pause)) }
                    " by " (brief(&pause.author)) " " (ago(pause.paused))
                    @if let Some(until) = pause.until { ", ends " (ago(until)) }
                    "."
                }
                p.small { "\u{201c}" (brief(&pause.reason)) "\u{201d} " @if pause.skip_ticks { " Ticks of its schedules are skipped." } " Python workers go on." }
            }
            (action::form(desk, visitor, "/pauses/resume", &[("kind", &pause.kind), ("name", &pause.name)], &Button::calm(Icon::Play, "Resume")))
        }
    }
}

/// What is paused, in words.
pub(crate) fn what(pause: &PauseRow) -> Markup {
    match pause.kind.as_str() {
        "all" => html! { "everything" },
        "plugin" => html! { "plugin " span.name { (brief(&pause.name)) } },
        "entrypoint" => html! { "entrypoint " span.name { (brief(&pause.name)) } },
        "sha256" => html! { "version " code { (shown(pause.name.get(..12).unwrap_or(&pause.name))) } },
        kind => html! { (shown(kind)) " " (brief(&pause.name)) },
    }
}

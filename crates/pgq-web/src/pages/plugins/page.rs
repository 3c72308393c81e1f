//! `/plugins`: each plugin with its versions, what hosts found out about them, and what is wrong.

use axum::extract::State;
use maud::{Markup, html};
use pgq_queue::{PluginLook, RefusedFile};

use super::version::version;
use crate::pages::action::{self, Button};
use crate::pages::badge::{Tone, badge};
use crate::pages::content::{Content, Section};
use crate::pages::desk::Desk;
use crate::pages::fields::Fields;
use crate::pages::icon::Icon;
use crate::pages::jobs::filter::query;
use crate::pages::shown::{brief, shown};
use crate::pages::units::many;
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Plugins of a page.
const PAGE: usize = 40;
/// Versions that are shown at once; older ones are behind a line.
const VERSIONS: usize = 3;

pub(crate) async fn plugins(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    let known = desk.plugins().await.or_problem()?;
    let name = fields.text("name");
    let page: usize = fields.parse("page", "the number of a page")?.unwrap_or_default();
    let all: Vec<&PluginLook> =
        known.plugins.iter().filter(|one| name.is_none_or(|name| one.name.contains(name))).collect();
    let from = page.saturating_mul(PAGE).min(all.len());
    let body = html! {
        @for file in &known.refused { (refused(&desk, &visitor, file)) }
        @if all.is_empty() && known.refused.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Plugins.svg()) }
                @if name.is_some() { p.lead { "No plugin has this in its name." } } @else {
                    p.lead { "No host has served a plugin yet." }
                    p.muted { "Make one, and put it into the folder of a host:" }
                    pre.command { "pgq-host plugin new hello && pgq-host plugin build hello" }
                }
            }
        }
        @for plugin in all[from..].iter().take(PAGE) { (card(&desk, &visitor, plugin)) }
        @if all.len() > PAGE {
            nav.pager aria-label="Pages of the plugins" {
                @let link = |page: usize| desk.link(&format!("/plugins{}", query(&[("name", name.unwrap_or("")), ("page", &page.to_string())])));
                @if page > 0 { a.button rel="prev" href=(link(page - 1)) { "Page before" } }
                @if from + PAGE < all.len() { a.button rel="next" href=(link(page + 1)) { "Next page" } }
            }
        }
        @if known.cut { p.muted { "There are more versions than were looked at." } }
    };
    let above = html! {
        div.head {
            h1 { "Plugins" }
            @if known.plugins.len() > 8 || name.is_some() {
                form.find method="get" action=(desk.link("/plugins")) role="search" aria-label="Plugins" { input name="name" value=(name.unwrap_or("")) placeholder="Part of a name" aria-label="Find plugins by a part of their name" autocomplete="off"; }
            }
            span.grow {}
            (action::form(&desk, &visitor, "/plugins/reload", &[], &Button::calm(Icon::Retry, "Scan folders again")))
        }
    };
    Ok(Content::new(Section::Plugins, "Plugins", body).below(above).live())
}

fn refused(desk: &Desk, visitor: &Visitor, file: &RefusedFile) -> Markup {
    let stem = file.file.strip_suffix(".wasm").unwrap_or(&file.file);
    html! {
        article.card.bad {
            div.card-head {
                h2.card-title { (Icon::Warning.svg()) " " span.mono { (shown(&file.file)) } " is refused" }
                (action::form(desk, visitor, "/plugins/reset", &[("name", stem)], &Button::calm(Icon::Retry, "Try it again")))
            }
            pre.code.error-message tabindex="0" { (shown(&file.error)) }
            p.small.muted {
                "On " (brief(&file.hosts.join(", "))) ". "
                @match (&file.plugin, &file.version) {
                    (Some(plugin), Some(version)) => { "Meanwhile " (brief(plugin)) " " strong { (brief(version)) } " is served." },
                    _ => "Nothing is served in its place.",
                }
            }
        }
    }
}

fn card(desk: &Desk, visitor: &Visitor, plugin: &PluginLook) -> Markup {
    let is_served =
        plugin.versions.iter().any(|version| !version.stable_on.is_empty() || !version.canary_on.is_empty());
    let name = plugin.name.as_str();
    let (shown_first, older) = plugin.versions.split_at(plugin.versions.len().min(VERSIONS));
    html! {
        article.card.warn[!plugin.paused.is_empty()] id=(name) {
            div.card-head {
                div.card-title {
                    h2 { (brief(name)) }
                    p.small.muted { @if plugin.entrypoints.is_empty() { "serves nothing now" } @else { "serves " (entrypoints(desk, &plugin.entrypoints)) } }
                }
                div.badges {
                    @if !is_served { (badge(Tone::Calm, Icon::Removed, "not served")) }
                    @if !plugin.paused.is_empty() { (badge(Tone::Bad, Icon::Paused, &format!("breaker open: {}", plugin.paused.join(", ")))) }
                    @if !plugin.held.is_empty() { (badge(Tone::Warn, Icon::Paused, "paused by an operator")) }
                }
            }
            div { @for one in shown_first { (version(desk, visitor, name, one, &plugin.versions)) } }
            @if !older.is_empty() {
                details.more { summary { (many(older.len(), "older version")) } div { @for one in older.iter().take(20) { (version(desk, visitor, name, one, &plugin.versions)) } } }
            }
            @if visitor.role >= Role::Operator {
                div.actions {
                    (action::opens(desk, visitor, "/plugins/reset", &[("name", name)], &Button::calm(Icon::Retry, "Reset"), html! {
                        p { "Verdicts on this plugin are deleted, and all hosts try again what they paused, refused or rolled back because its runs crashed." }
                        (action::reason(false))
                    }))
                    (action::opens(desk, visitor, "/pauses", &[("kind", "plugin"), ("name", name), ("back", "/plugins")], &Button::calm(Icon::Paused, "Pause"), html! {
                        p { "Hosts begin none of its jobs. Those that run end normally." }
                        (action::reason(true))
                        label { span { "For how long" span.muted { " (nothing: until resumed)" } } input name="for" placeholder="30m" autocomplete="off"; }
                    }))
                }
            }
        }
    }
}

fn entrypoints(desk: &Desk, names: &[String]) -> Markup {
    html! {
        @for (place, name) in names.iter().take(12).enumerate() {
            @if place > 0 { ", " }
            a href=(desk.link(&format!("/jobs{}", query(&[("entrypoint", name)])))) { (brief(name)) }
        }
        @if names.len() > 12 { " and " (names.len() - 12) " more" }
    }
}

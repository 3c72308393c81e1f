//! `/pauses`: what hosts leave in the queue for now, and more of it.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use pgq_queue::{PauseOrder, PauseRow, PauseTarget};
use serde_json::json;

use super::action::{self, Button};
use super::back::back;
use super::banner::what;
use super::content::{Content, Section};
use super::desk::Desk;
use super::fields::{Fields, Sent, wrong};
use super::flash::Flash;
use super::icon::Icon;
use super::shown::brief;
use super::units::{ago, many};
use crate::job_filter::duration;
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

const KINDS: [(&str, &str); 4] = [
    ("entrypoint", "An entrypoint"),
    ("plugin", "A plugin"),
    ("sha256", "A version, by its sha256"),
    ("all", "Everything"),
];

pub(crate) async fn pauses(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    let pauses = desk.pauses().await.or_problem()?;
    let body = html! {
        @if pauses.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Play.svg()) }
                p.lead { "Nothing is paused." }
                p.muted { "Hosts claim jobs of every entrypoint that they serve." }
            }
        } @else { (table(&desk, &visitor, &pauses)) }
    };
    let above = html! {
        div.head { h1 { "Pauses" } p.muted { "Hosts begin no job of what is paused. Those that run end normally, and Python workers go on." } }
        @if visitor.role >= Role::Operator { (order(&desk, &visitor, &fields)) }
    };
    Ok(Content::new(Section::Other, "Pauses", body).below(above).live())
}

fn table(desk: &Desk, visitor: &Visitor, pauses: &[PauseRow]) -> Markup {
    html! {
        div.panel.flush {
            table.cards {
                caption.hidden { "Pauses in force" }
                thead { tr { th scope="col" { "What" } th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Ticks" } th scope="col" { "Who" } th scope="col" { "Why" } th scope="col" { span.hidden { "Resume" } } } }
                tbody {
                    @for pause in pauses {
                        tr {
                            th scope="row" data-label="What" { (what(pause)) }
                            td data-label="Since" { (ago(pause.paused)) }
                            td data-label="Until" { @match pause.until { Some(until) => (ago(until)), None => "resumed" } }
                            td data-label="Ticks" { (if pause.skip_ticks { "skipped" } else { "wait as jobs" }) }
                            td data-label="Who" { (brief(&pause.author)) span.muted.small { " as " (brief(&pause.role)) } }
                            td.why data-label="Why" { (brief(&pause.reason)) }
                            td.end { (action::form(desk, visitor, "/pauses/resume", &[("kind", &pause.kind), ("name", &pause.name), ("back", "/pauses")], &Button::calm(Icon::Play, "Resume"))) }
                        }
                    }
                }
            }
        }
    }
}

fn order(desk: &Desk, visitor: &Visitor, fields: &Fields) -> Markup {
    let kind = fields.text("kind").unwrap_or("entrypoint");
    html! {
        form.panel.stack.wide method="post" action=(desk.link("/pauses")) aria-label="Pause something" {
            (action::hidden(visitor, &[]))
            div.filter-row {
                label { span { "Pause" } select name="kind" { @for (value, name) in KINDS { option value=(value) selected[value == kind] { (name) } } } }
                label { span { "Its name" } input name="name" value=(fields.text("name").unwrap_or("")) autocomplete="off"; }
                label { span { "For how long" span.muted { " (nothing: until resumed)" } } input name="for" placeholder="30m" autocomplete="off"; }
            }
            div.filter-row {
                label.grow { span { "Reason" } input name="reason" required maxlength="500" autocomplete="off" placeholder="for whoever wonders"; }
                label.check { input type="checkbox" name="skip_ticks" value="1"; span { "Skip ticks of schedules" } }
                button.button.main type="submit" { (Icon::Paused.svg()) "Pause" }
            }
        }
    }
}

fn target(fields: &Fields) -> Result<PauseTarget, Problem> {
    let name = |what: &str| {
        let missing = || Problem::new(StatusCode::BAD_REQUEST, format!("which {what}? its name is missing"));
        fields.text("name").map(str::to_owned).ok_or_else(missing)
    };
    match fields.needed("kind")? {
        "all" => Ok(PauseTarget::All),
        "plugin" => name("plugin").map(PauseTarget::Plugin),
        "entrypoint" => name("entrypoint").map(PauseTarget::Entrypoint),
        "sha256" => {
            let digits = name("version")?.to_ascii_lowercase();
            let fits = digits.len() <= 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if fits {
                Ok(PauseTarget::Sha256(digits))
            } else {
                Err(wrong("name", &digits, "the beginning of a sha256"))
            }
        }
        other => Err(wrong("kind", other, "what can be paused; entrypoint, plugin, sha256, all")),
    }
}

fn named(target: &PauseTarget) -> String {
    match target {
        PauseTarget::All => "everything".into(),
        PauseTarget::Plugin(name) => format!("the plugin {name:?}"),
        PauseTarget::Entrypoint(name) => format!("the entrypoint {name:?}"),
        PauseTarget::Sha256(digits) => format!("versions {digits}\u{2026}"),
    }
}

async fn knows(desk: &Desk) -> Result<(), Problem> {
    match desk.site.operator.knows_pauses().await? {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::CONFLICT,
            "the database has no table for pauses, or this role may not use it: run `pgq-host upgrade` and `pgq-host grant ROLE --apply`, and start the hosts again",
        )),
    }
}

pub(crate) async fn pause(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let target = target(&fields)?;
    let reason = fields.needed("reason")?.to_owned();
    let lasts = fields.text("for").map(|text| duration("for", text)).transpose()?;
    knows(&desk).await?;
    let skips_ticks = fields.text("skip_ticks").is_some();
    let order = PauseOrder { target, reason, author: visitor.name.to_string(), lasts, skips_ticks };
    let operator = &desk.site.operator;
    let until = operator.pause(&order).await?;
    let asked = json!({ "target": order.target, "until": until, "skip_ticks": skips_ticks });
    operator.begin_audit("pause", &visitor.actor(Some(&order.reason)), &asked).await?;
    desk.forget().await;
    let hosts = operator.hosts_if_any().await?.len();
    let flash = Flash::good(format!("Paused {}. Told {}.", named(&order.target), many(hosts, "host")));
    Ok(back(&desk, fields.text("back").unwrap_or("/pauses"), &flash))
}

pub(crate) async fn resume(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let target = target(&fields)?;
    knows(&desk).await?;
    let operator = &desk.site.operator;
    let flash = if operator.resume(&target).await? {
        operator.begin_audit("resume", &visitor.actor(fields.text("reason")), &json!({ "target": target })).await?;
        Flash::good(format!("Resumed {}.", named(&target)))
    } else {
        Flash::bad(format!("Nothing was done: {} is not paused.", named(&target)))
    };
    desk.forget().await;
    Ok(back(&desk, fields.text("back").unwrap_or("/pauses"), &flash))
}

//! `/schedules`: what runs by the clock, and when next.

use axum::extract::State;
use axum::response::Response;
use chrono::Utc;
use maud::{Markup, html};
use pgq_queue::ListedSchedule;
use serde_json::json;

use super::action::{self, Button};
use super::back::back;
use super::badge::{Tone, badge};
use super::content::{Content, Section};
use super::desk::Desk;
use super::fields::Sent;
use super::flash::Flash;
use super::icon::Icon;
use super::jobs::filter::query;
use super::shown::{brief, shown};
use super::units::{ago, second};
use crate::problem::Problem;
use crate::schedule_change::{ScheduleChange, ScheduleError, change};
use crate::visitor::{Role, Visitor};

pub(crate) async fn schedules(State(desk): State<Desk>, visitor: Visitor) -> Result<Content, Problem> {
    let schedules = desk.site.operator.schedules().await?;
    let body = html! {
        @if schedules.is_empty() {
            div.empty {
                p.empty-sign { (Icon::Schedules.svg()) }
                p.lead { "Nothing runs by the clock." }
                p.muted { "A plugin declares its schedules; a host adds them when it serves the plugin." }
                pre.command { "pgq-host plugin inspect plugins/*.wasm" }
            }
        } @else {
            div.panel.flush {
                table.cards.rows {
                    caption.hidden { "Schedules" }
                    thead { tr { th scope="col" { "Entrypoint" } th scope="col" { "Expression" } th scope="col" { "Next run" } th scope="col" { "Last run" } th scope="col" { "State" } @if visitor.role >= Role::Operator { th scope="col" { span.hidden { "Change" } } } } }
                    tbody { @for schedule in &schedules { (row(&desk, &visitor, schedule)) } }
                }
            }
        }
    };
    let above = html! { div.head { h1 { "Schedules" } p.muted { "Times are UTC" } } };
    Ok(Content::new(Section::Schedules, "Schedules", body).below(above).live())
}

fn row(desk: &Desk, visitor: &Visitor, schedule: &ListedSchedule) -> Markup {
    let overdue = (Utc::now() - schedule.next_run).num_seconds() > 60;
    let id = schedule.id.to_string();
    html! {
        tr {
            th scope="row" data-label="Entrypoint" { a.name.open href=(desk.link(&format!("/jobs{}", query(&[("entrypoint", &schedule.entrypoint)])))) { (brief(&schedule.entrypoint)) } }
            td data-label="Expression" {
                code { (shown(schedule.effective())) }
                @if schedule.replaced.is_some() { div.small.muted { "declared: " code { (shown(&schedule.expression)) } } }
                @if schedule.paused || schedule.replaced.is_some() { (changed(schedule)) }
            }
            td data-label="Next run" {
                @if schedule.paused { span.muted { "skipped" } } @else { (ago(schedule.next_run)) }
                div.small.muted { (second(schedule.next_run)) }
            }
            td data-label="Last run" { @match schedule.last_run { Some(at) => (ago(at)), None => span.muted { "never" } } }
            td data-label="State" {
                @if schedule.paused { (badge(Tone::Warn, Icon::Paused, "paused")) }
                @else if schedule.status.as_deref() == Some("picked") { (badge(Tone::Busy, Icon::Running, "a Python worker runs it")) }
                @else if overdue { (badge(Tone::Warn, Icon::Warning, "overdue")) }
                @else { (badge(Tone::Calm, Icon::Deferred, "waits")) }
            }
            @if visitor.role >= Role::Operator {
                td.end.many-acts {
                    div.actions.small-actions {
                        (action::form(desk, visitor, "/schedules/run", &[("id", &id)], &Button::calm(Icon::Play, "Run now")))
                        @if schedule.paused { (action::form(desk, visitor, "/schedules/resume", &[("id", &id)], &Button::calm(Icon::Play, "Resume"))) }
                        @else {
                            (action::opens(desk, visitor, "/schedules/pause", &[("id", &id)], &Button::calm(Icon::Paused, "Pause"), html! {
                                p { "Hosts skip its ticks until it is resumed. Python workers know nothing of it." }
                                (action::reason(false))
                            }))
                        }
                        (action::opens(desk, visitor, "/schedules/edit", &[("id", &id)], &Button::calm(Icon::Schedules, "Edit"), edit_fields(schedule)))
                        @if schedule.replaced.is_some() { (action::form(desk, visitor, "/schedules/restore", &[("id", &id)], &Button::calm(Icon::Back, "As declared"))) }
                        (action::opens(desk, visitor, "/schedules/remove", &[("id", &id)], &Button::danger(Icon::Removed, "Remove"), html! {
                            p { "A host that serves a plugin with this schedule adds it again. To stop it, pause it. What was changed of it stays for then." }
                            (action::reason(false))
                        }))
                    }
                }
            }
        }
    }
}

/// Who changed it, and why.
fn changed(schedule: &ListedSchedule) -> Markup {
    html! {
        div.small.muted {
            "changed by " (brief(schedule.author.as_deref().unwrap_or("somebody")))
            @if let Some(at) = schedule.changed { " " (ago(at)) }
            @if let Some(reason) = &schedule.reason { ": " (brief(reason)) }
        }
    }
}

fn edit_fields(schedule: &ListedSchedule) -> Markup {
    let effective = schedule.effective();
    let (zone, expression) =
        effective.strip_prefix("CRON_TZ=").and_then(|rest| rest.split_once(' ')).unwrap_or(("", effective));
    html! {
        p { "Hosts run it by this expression, whichever version of the plugin they serve, until it is put back. Python workers know nothing of it." }
        label { span { "Expression" } input name="expression" value=(expression) required maxlength="1000" autocomplete="off" spellcheck="false"; }
        label { span { "Time zone" span.muted { " (nothing: UTC)" } } input name="zone" value=(zone) maxlength="100" autocomplete="off" spellcheck="false" placeholder="Europe/Berlin"; }
        (action::reason(false))
    }
}

/// Change how hosts run it.
async fn adjust(desk: &Desk, sent: &Sent, wanted: ScheduleChange, done: &str) -> Result<Response, Problem> {
    let Sent { visitor, fields } = sent;
    let id: i64 = fields.parse("id", "the number of a schedule")?.unwrap_or_default();
    let flash = match change(&desk.site.operator, &visitor.actor(fields.text("reason")), id, &wanted).await {
        Ok(adjusted) => Flash::good(format!("{done} a schedule of {:?}.", adjusted.entrypoint)),
        Err(error @ (ScheduleError::Unknown(_) | ScheduleError::Expression(_) | ScheduleError::TooLong(_))) => {
            Flash::bad(format!("Nothing was done: {error}."))
        }
        Err(error) => return Err(error.into()),
    };
    Ok(back(desk, "/schedules", &flash))
}

pub(crate) async fn pause(State(desk): State<Desk>, sent: Sent) -> Result<Response, Problem> {
    adjust(&desk, &sent, ScheduleChange::Pause, "Paused").await
}

pub(crate) async fn resume(State(desk): State<Desk>, sent: Sent) -> Result<Response, Problem> {
    adjust(&desk, &sent, ScheduleChange::Resume, "Resumed").await
}

pub(crate) async fn edit(State(desk): State<Desk>, sent: Sent) -> Result<Response, Problem> {
    let expression = sent.fields.needed("expression")?.to_owned();
    let zone = sent.fields.text("zone").map(str::to_owned);
    adjust(&desk, &sent, ScheduleChange::Edit { expression, zone }, "Edited").await
}

pub(crate) async fn restore(State(desk): State<Desk>, sent: Sent) -> Result<Response, Problem> {
    adjust(&desk, &sent, ScheduleChange::Restore, "Put back").await
}

pub(crate) async fn remove(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let id: i64 = fields.parse("id", "the number of a schedule")?.unwrap_or_default();
    let operator = &desk.site.operator;
    let removed = operator.remove_schedules(&[id], &[]).await?;
    let flash = match removed.first() {
        Some(schedule) => {
            let asked = json!({ "schedule": id, "entrypoint": schedule.entrypoint });
            operator.begin_audit("remove_schedule", &visitor.actor(fields.text("reason")), &asked).await?;
            Flash::good(format!("Removed a schedule of {:?}.", schedule.entrypoint))
        }
        None => Flash::bad(format!("Nothing was done: there is no schedule {id}.")),
    };
    Ok(back(&desk, "/schedules", &flash))
}

/// Enqueue its job now. Its next tick stays where it is.
pub(crate) async fn run(State(desk): State<Desk>, Sent { visitor, fields }: Sent) -> Result<Response, Problem> {
    let id: i64 = fields.parse("id", "the number of a schedule")?.unwrap_or_default();
    let operator = &desk.site.operator;
    let flash = match operator.run_schedule(id).await? {
        Some(job) => {
            let asked = json!({ "schedule": id, "job": job });
            operator.begin_audit("run_schedule", &visitor.actor(fields.text("reason")), &asked).await?;
            Flash::good(format!("Enqueued job {job}. The next tick stays where it is."))
        }
        None => Flash::bad(format!("Nothing was done: there is no schedule {id}.")),
    };
    Ok(back(&desk, "/schedules", &flash))
}

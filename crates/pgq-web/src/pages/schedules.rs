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
use super::units::{ago, clock};
use crate::problem::Problem;
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
            td data-label="Expression" { code { (shown(&schedule.expression)) } }
            td data-label="Next run" { (ago(schedule.next_run)) div.small.muted { (clock(schedule.next_run)) } }
            td data-label="Last run" { @match schedule.last_run { Some(at) => (ago(at)), None => span.muted { "never" } } }
            td data-label="State" {
                @if schedule.status.as_deref() == Some("picked") { (badge(Tone::Busy, Icon::Running, "a Python worker runs it")) }
                @else if overdue { (badge(Tone::Warn, Icon::Warning, "overdue")) }
                @else { (badge(Tone::Calm, Icon::Deferred, "waits")) }
            }
            @if visitor.role >= Role::Operator {
                td.end {
                    div.actions.small-actions {
                        (action::form(desk, visitor, "/schedules/run", &[("id", &id)], &Button::calm(Icon::Play, "Run now")))
                        a.button href=(desk.link(&format!("/pauses{}", query(&[("kind", "entrypoint"), ("name", &schedule.entrypoint)])))) { (Icon::Paused.svg()) "Pause" }
                        (action::opens(desk, visitor, "/schedules/remove", &[("id", &id)], &Button::danger(Icon::Removed, "Remove"), html! {
                            p { "A host that serves a plugin with this schedule adds it again. To stop it, pause its entrypoint and let ticks be skipped." }
                            (action::reason(false))
                        }))
                    }
                }
            }
        }
    }
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

//! `/jobs/ID`: everything that is known of a job, and what can be done about it.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, header};
use maud::{Markup, html};
use pgq_job::JobId;
use pgq_queue::{JobReport, JobStatus};

use super::{body, facts, timeline};
use crate::pages::action::{self, Button};
use crate::pages::badge;
use crate::pages::content::{Content, Section};
use crate::pages::desk::Desk;
use crate::pages::fields::{Fields, wrong};
use crate::pages::icon::Icon;
use crate::pages::jobs::change::extra;
use crate::pages::jobs::filter::query;
use crate::pages::jobs::verb::Verb;
use crate::pages::shown::shown;
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Bytes of a payload or an output that a page shows.
const SHOWN: i32 = 64 << 10;

pub(crate) fn id(text: &str) -> Result<JobId, Problem> {
    text.trim_start_matches('#').parse().map_err(|_| wrong("id", text, "the number of a job"))
}

fn unknown(id: JobId) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("neither the queue nor the log has a job {id}; old rows of the log are removed by retention"),
    )
}

/// The field that takes an id.
pub(crate) async fn go(State(desk): State<Desk>, _: Visitor, fields: Fields) -> Result<Redirect, Problem> {
    Ok(Redirect::to(&desk.link(&format!("/jobs/{}", id(fields.needed("id")?)?))))
}

pub(crate) async fn job(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Content, Problem> {
    let id = id(&name)?;
    let mut job = desk.site.operator.job(id, SHOWN).await?.ok_or_else(|| unknown(id))?;
    let all = visitor.role >= Role::Operator;
    if !all {
        job.printed.clear();
    }
    let body = html! {
        div.head {
            h1 { "Job " span.mono { "#" (id) } }
            (badge::status(&job.status))
            a.name href=(desk.link(&format!("/jobs{}", query(&[("entrypoint", &job.entrypoint)])))) { (shown(&job.entrypoint)) }
            (buttons(&desk, &visitor, &job))
        }
        div.columns {
            div.main-column {
                (timeline::timeline(&desk, &job))
                (body::bodies(&desk, &job, all))
            }
            aside.side-column { (facts::facts(&desk, &job)) }
        }
    };
    let content = Content::new(Section::Jobs, format!("Job {id}"), body).below(html! {
        nav.crumbs aria-label="Way back" { a href=(desk.link("/jobs")) { "Jobs" } span aria-hidden="true" { "/" } span { "#" (id) } }
    });
    Ok(content.live())
}

/// What can be done to it as it is.
fn buttons(desk: &Desk, visitor: &Visitor, job: &JobReport) -> Markup {
    let id = job.id.to_string();
    let back = format!("/jobs/{id}");
    let status = JobStatus::ALL.into_iter().find(|status| status.label() == job.status);
    let can = |verb: Verb| job.row.is_some() && status.is_some_and(|status| verb.statuses().contains(&status));
    let deferred = job.row.as_ref().is_some_and(|row| row.execute_after > chrono::Utc::now());
    let path = |verb: Verb| format!("/jobs/{id}/{}", verb.name());
    let fields = [("back", back.as_str())];
    html! {
        @if visitor.role >= Role::Operator && job.row.is_some() {
            div.actions.at-end.pop-left role="group" aria-label="What can be done" {
                @if can(Verb::Requeue) { (action::form(desk, visitor, &path(Verb::Requeue), &fields, &Button::main(Icon::Retry, "Retry"))) }
                @if can(Verb::RetryNow) && deferred { (action::form(desk, visitor, &path(Verb::RetryNow), &fields, &Button::main(Icon::Play, "Run now"))) }
                @if can(Verb::Reschedule) {
                    (action::opens(desk, visitor, &path(Verb::Reschedule), &fields, &Button::calm(Icon::Deferred, "Reschedule"), html! { (extra(Verb::Reschedule)) (action::reason(false)) }))
                }
                @if can(Verb::Prioritize) {
                    (action::opens(desk, visitor, &path(Verb::Prioritize), &fields, &Button::calm(Icon::Jobs, "Priority"), html! { (extra(Verb::Prioritize)) (action::reason(false)) }))
                    (action::opens(desk, visitor, &format!("/jobs/{id}/payload"), &fields, &Button::calm(Icon::Audit, "Edit payload"), edit(job)))
                }
                @if can(Verb::Cancel) {
                    (action::opens(desk, visitor, &path(Verb::Cancel), &fields, &Button::danger(Icon::Failed, "Cancel"), html! {
                        p { (if job.status == "picked" { "It runs. Its host is told to stop it, and it leaves the queue." } else { "It leaves the queue and does not run again." }) }
                        (action::reason(false))
                    }))
                }
            }
        }
    }
}

fn edit(job: &JobReport) -> Markup {
    let payload = job.row.as_ref().and_then(|row| row.payload.as_ref());
    html! {
        @match payload.map(|content| (content.cut || content.masked, &content.shape)) {
            Some((true, pgq_queue::Shape::Json(_) | pgq_queue::Shape::Text(_))) | Some((_, pgq_queue::Shape::Hex(_))) => {
                p.muted { "It is too long for a form, no text, or masked. Write it anew here, or edit it with " code { "pgq-host edit ID --payload-file FILE" } "." }
                label { span { "New payload" } textarea name="payload" rows="8" spellcheck="false" {} }
            }
            Some((_, pgq_queue::Shape::Sealed(_))) => {
                p.muted { "It is sealed, and what is written here is not. Seal the new payload with " code { "pgq-host sealing seal" } ", and give the job that with " code { "pgq-host edit ID --payload-file FILE" } "." }
                label { span { "New payload" } textarea name="payload" rows="8" spellcheck="false" {} }
            }
            Some((_, pgq_queue::Shape::Json(json))) => label { span { "New payload" } textarea name="payload" rows="8" spellcheck="false" { (json.get()) } },
            Some((_, pgq_queue::Shape::Text(text))) => label { span { "New payload" } textarea name="payload" rows="8" spellcheck="false" { (text) } },
            None => label { span { "New payload" } textarea name="payload" rows="8" spellcheck="false" {} },
        }
        (action::reason(false))
    }
}

/// The whole payload, as a file: a browser is not to make anything of it.
pub(crate) async fn payload(
    State(desk): State<Desk>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    visitor.require(Role::Operator)?;
    let id = id(&name)?;
    let payload = desk.site.operator.payload(id).await?.ok_or_else(|| unknown(id))?.unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"job-{id}.payload\"")),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, payload).into_response())
}

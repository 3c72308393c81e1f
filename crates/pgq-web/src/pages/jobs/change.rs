//! `/jobs/change`: counts what a change would be about, and does it when the number is known.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use pgq_job::JobId;

use super::apply::{apply, order};
use super::filter::Asked;
use super::verb::Verb;
use crate::pages::action;
use crate::pages::back::back;
use crate::pages::content::{Content, Section};
use crate::pages::desk::Desk;
use crate::pages::fields::{Fields, Sent, wrong};
use crate::pages::flash::Flash;
use crate::pages::shown::brief;
use crate::pages::units::{count, many};
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};
use pgq_queue::job_change;

/// Jobs that are changed at a time. What is beyond is done by doing it again.
const MOST: usize = 100_000;

/// What is to be changed.
struct Chosen {
    verb: Verb,
    jobs: job_change::Chosen,
    /// Whether there are more than these.
    more: bool,
    /// `None`: jobs are named.
    asked: Option<Asked>,
}

impl Chosen {
    async fn read(desk: &Desk, fields: &Fields) -> Result<Chosen, Problem> {
        let name = fields.needed("verb")?;
        let verb = Verb::named(name).ok_or_else(|| wrong("verb", name, "a change of jobs"))?;
        let mut ids = Vec::new();
        for id in fields.all("id") {
            ids.push(id.parse::<JobId>().map_err(|_| wrong("id", id, "the number of a job"))?);
        }
        if !ids.is_empty() {
            return Ok(Chosen { verb, jobs: job_change::Chosen::named(ids), more: false, asked: None });
        }
        let mut asked = Asked::read(fields)?;
        if asked.is_empty() && fields.text("all").is_none() {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "no job was chosen; go back and choose some"));
        }
        asked.filter = asked.body.changeable(verb.statuses())?;
        let statuses = asked.filter.status.map_or_else(|| verb.statuses().to_vec(), |status| vec![status]);
        let (ids, more) = desk.site.operator.matching_up_to(&asked.filter, &statuses, MOST).await?;
        let jobs = job_change::Chosen { ids, statuses: Some(statuses), asked: asked.told() };
        Ok(Chosen { verb, jobs, more, asked: Some(asked) })
    }
}

/// Count them, and ask.
pub(crate) async fn ask(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    visitor.require(Role::Operator)?;
    let chosen = Chosen::read(&desk, &fields).await?;
    Ok(question(&desk, &visitor, &chosen, None))
}

fn question(desk: &Desk, visitor: &Visitor, chosen: &Chosen, note: Option<&str>) -> Content {
    let verb = chosen.verb;
    let number = count(i64::try_from(chosen.jobs.ids.len()).unwrap_or(i64::MAX));
    let many = many(chosen.jobs.ids.len(), "job");
    let way_back =
        chosen.asked.as_ref().map_or_else(|| "/jobs".to_owned(), |asked| format!("/jobs{}", asked.query(&[])));
    let body = html! {
        div.head { h1 { (verb.title()) " " (many) @if !chosen.jobs.ids.is_empty() { "?" } } }
        div.panel.narrow {
            @if let Some(note) = note { p.banner.warn { (note) } }
            p { (verb.meaning()) }
            (about(chosen))
            @if chosen.jobs.ids.is_empty() {
                p.lead { "No job can be changed so." }
                p { a.button href=(desk.link(&way_back)) { "Back" } }
            } @else {
                @if chosen.more { p.banner.warn { "There are more than " (number) ". These are changed now; do it again for the others." } }
                form.stack method="post" action=(desk.link("/jobs/change")) {
                    (action::hidden(visitor, &[("verb", verb.name()), ("expected", &chosen.jobs.ids.len().to_string()), ("back", &way_back)]))
                    @match &chosen.asked {
                        Some(asked) => {
                            input type="hidden" name="all" value="1";
                            @for (name, value) in &asked.pairs { input type="hidden" name=(name) value=(value); }
                        }
                        None => @for id in &chosen.jobs.ids { input type="hidden" name="id" value=(id); },
                    }
                    (extra(verb))
                    (action::reason(false))
                    div.buttons {
                        button.button.danger[verb == Verb::Cancel].main[verb != Verb::Cancel] #confirm type="submit" { (verb.icon().svg()) (verb.title()) " " (many) }
                        a.button.ghost href=(desk.link(&way_back)) { "Leave them as they are" }
                    }
                }
            }
        }
    };
    Content::new(Section::Jobs, format!("{} {many}", verb.title()), body)
}

fn about(chosen: &Chosen) -> Markup {
    html! {
        @match &chosen.asked {
            Some(asked) if !asked.is_empty() => dl.facts { @for (name, value) in &asked.pairs { div { dt { (name) } dd { (brief(value)) } } } },
            Some(_) => p { strong { "No filter: all of them." } },
            None => p.muted.mono { @for id in chosen.jobs.ids.iter().take(20) { "#" (id) " " } @if chosen.jobs.ids.len() > 20 { "\u{2026}" } },
        }
    }
}

/// What else the change has to know.
pub(crate) fn extra(verb: Verb) -> Markup {
    html! {
        @match verb {
            Verb::Reschedule => label { span { "Due after this time, or at a time" } input name="when" required placeholder="15m, or 2026-11-26T18:00:00Z" autocomplete="off"; },
            Verb::Prioritize => label { span { "Priority" } input name="priority" type="number" required value="0"; },
            Verb::Requeue | Verb::RetryNow | Verb::Cancel => {},
        }
    }
}

/// Do it.
pub(crate) async fn change(State(desk): State<Desk>, sent: Sent) -> Result<Response, Problem> {
    let Sent { visitor, fields } = &sent;
    let chosen = Chosen::read(&desk, fields).await?;
    let order = order(chosen.verb, fields)?;
    if let Some(expected) = fields.parse::<usize>("expected", "a number of jobs")?
        && chosen.jobs.ids.len() > expected + expected / 10 + 10
    {
        let note = format!("When you were asked, {} matched. Now there are more.", many(expected, "job"));
        return Ok(axum::response::IntoResponse::into_response(question(&desk, visitor, &chosen, Some(&note))));
    }
    let changed = apply(&desk, visitor, fields.text("reason"), order, &chosen.jobs).await?;
    let left = chosen.jobs.ids.len() - changed.min(chosen.jobs.ids.len());
    let said = format!("{} {}.", chosen.verb.done(), many(changed, "job"));
    let flash = match left {
        0 => Flash::good(said),
        left => Flash::bad(format!("{said} {} left: {}.", many(left, "job"), chosen.verb.left())),
    };
    Ok(back(&desk, fields.text("back").unwrap_or("/jobs"), &flash))
}

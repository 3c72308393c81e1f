//! `/jobs`: the jobs that a filter lets through, page by page.

use axum::extract::State;
use maud::{Markup, html};
use pgq_queue::{Cursor, JobStatus, JobSummary};

use super::filter::Asked;
use super::verb::Verb;
use crate::pages::badge;
use crate::pages::content::{Content, Section};
use crate::pages::desk::Desk;
use crate::pages::fields::Fields;
use crate::pages::icon::Icon;
use crate::pages::shown::{brief, cut, shown};
use crate::pages::units::{ago, count};
use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Jobs of a page, and rows that are looked at for it.
const PAGE: usize = 50;
const ROWS: usize = 20_000;

/// Statuses with the words for their tabs.
const TABS: [(&str, &str); 8] = [
    ("", "In the queue"),
    ("queued", "Queued"),
    ("picked", "Running"),
    ("failed", "Failed, held"),
    ("successful", "Successful"),
    ("exception", "Failed, deleted"),
    ("canceled", "Canceled"),
    ("deleted", "Deleted"),
];

pub(crate) async fn jobs(State(desk): State<Desk>, visitor: Visitor, fields: Fields) -> Result<Content, Problem> {
    let asked = Asked::read(&fields)?;
    let after: Option<Cursor> = fields.parse("after", "a place in a list; go back to the first page")?;
    if let Some(cursor) = after.filter(|cursor| !asked.filter.is_continued_by(*cursor)) {
        return Err(crate::pages::fields::wrong(
            "after",
            &cursor.to_string(),
            "of a list with this filter; go back to the first page",
        ));
    }
    let page = desk.site.operator.jobs(&asked.filter, after, PAGE, ROWS).await?;
    let body = html! {
        @if page.jobs.is_empty() {
            (empty(&asked, page.next.is_some()))
        } @else {
            form #chosen method="get" action=(desk.link("/jobs/change")) {
                (table(&desk, &asked, &page.jobs, visitor.role >= Role::Operator))
                @if visitor.role >= Role::Operator && !asked.filter.status.is_some_and(JobStatus::is_over) { (chosen(&asked)) }
            }
        }
        (pager(&desk, &asked, after.is_some(), page.next))
    };
    let content = Content::new(Section::Jobs, "Jobs", body).below(above(&desk, &visitor, &asked));
    Ok(if after.is_none() { content.live() } else { content })
}

fn above(desk: &Desk, visitor: &Visitor, asked: &Asked) -> Markup {
    let here = asked.text("status");
    let more = ["older", "younger", "header", "plugin"].iter().any(|name| !asked.text(name).is_empty());
    let field = |name: &'static str, label: &str, hint: &str| {
        html! { label { span { (label) } input name=(name) value=(asked.text(name)) placeholder=(hint) autocomplete="off"; } }
    };
    html! {
        div.head { h1 { "Jobs" } }
        nav.tabs aria-label="Status" {
            @for (status, name) in TABS {
                a href=(desk.link(&format!("/jobs{}", asked.query(&[("status", status), ("cause", "")])))) aria-current=[(status == here).then_some("true")] { (name) }
            }
        }
        form.filter method="get" action=(desk.link("/jobs")) role="search" aria-label="Filter the jobs" {
            @for name in ["status", "cause"] { @if !asked.text(name).is_empty() { input type="hidden" name=(name) value=(asked.text(name)); } }
            div.filter-row {
                (field("entrypoint", "Entrypoint", "the whole name"))
                (field("error", "Text in the last error", "connection refused"))
                button.button type="submit" { (Icon::Search.svg()) "Filter" }
                @if !asked.is_empty() { a.button.ghost href=(desk.link("/jobs")) { "Show all" } }
            }
            details.more open[more] {
                summary { "Age, header, version" }
                div.filter-row {
                    (field("older", "At least this old", "15m"))
                    (field("younger", "At most this old", "2h"))
                    (field("header", "Header, or header=value", "tenant=acme"))
                    (field("plugin", "Version, by its sha256", "3f9a0c"))
                }
            }
        }
        @if visitor.role >= Role::Operator && !asked.filter.status.is_some_and(JobStatus::is_over) {
            div.bulk {
                span { @if asked.is_empty() { "All jobs in the queue:" } @else { "All jobs that match:" } }
                @for verb in Verb::of(asked.filter.status) {
                    a.button href=(desk.link(&format!("/jobs/change{}", asked.query(&[("verb", verb.name()), ("all", "1")])))) { (verb.icon().svg()) (verb.title()) "\u{2026}" }
                }
            }
        }
    }
}

fn chosen(asked: &Asked) -> Markup {
    html! {
        div.chosen {
            span { "The chosen ones:" }
            @for verb in Verb::of(asked.filter.status) {
                button.button type="submit" name="verb" value=(verb.name()) { (verb.icon().svg()) (verb.title()) "\u{2026}" }
            }
        }
    }
}

fn table(desk: &Desk, asked: &Asked, jobs: &[JobSummary], choose: bool) -> Markup {
    let over = asked.filter.status.is_some_and(JobStatus::is_over);
    let choose = choose && !over;
    html! {
        div.panel.flush {
            table.cards.rows {
                caption.hidden { "Jobs" }
                thead {
                    tr {
                        @if choose { th.pick scope="col" { span.hidden { "Choose" } } }
                        th scope="col" { "Job" }
                        th scope="col" { "Status" }
                        th scope="col" { "Entrypoint" }
                        th.n scope="col" { "Failed runs" }
                        th scope="col" { (if over { "Ended" } else { "Since" }) }
                        th scope="col" { "Where and why" }
                    }
                }
                tbody { @for job in jobs { (row(desk, job, choose)) } }
            }
        }
    }
}

fn row(desk: &Desk, job: &JobSummary, choose: bool) -> Markup {
    let deferred = job.execute_after.filter(|at| job.status == "queued" && *at > chrono::Utc::now());
    html! {
        tr id={ "job-" (job.id) } {
            @if choose { td.pick { input type="checkbox" name="id" value=(job.id) aria-label={ "Choose job " (job.id) }; } }
            th scope="row" data-label="Job" { a.open href=(desk.link(&format!("/jobs/{}", job.id))) { "#" (job.id) } }
            td data-label="Status" {
                @if deferred.is_some() { (badge::badge(badge::Tone::Calm, Icon::Deferred, "deferred")) } @else { (badge::status(&job.status)) }
            }
            td.name data-label="Entrypoint" { a href=(desk.link(&format!("/jobs{}", super::filter::query(&[("entrypoint", &job.entrypoint)])))) { (brief(&job.entrypoint)) } }
            td.n data-label="Failed runs" { @match job.attempts { Some(0) | None => span.muted { "\u{2013}" }, Some(runs) => (count(i64::from(runs))) } }
            td data-label="Since" {
                @match deferred {
                    Some(at) => { "due " (ago(at)) }
                    None => (ago(if job.status == "queued" { job.created.unwrap_or(job.updated) } else { job.updated })),
                }
                @if job.status == "picked" && let Some(deadline) = job.deadline { div.small.muted { "deadline " (ago(deadline)) } }
            }
            td.why data-label="Where and why" {
                @if let Some(error) = &job.error { span.error-text { (cut(error, 110)) } }
                @else if let Some(host) = &job.host { "on " span.mono { (shown(host)) } }
                @else if let Some(worker) = job.queue_manager_id { "on " span.mono { (worker) } }
                @else if let Some(key) = &job.dedupe_key { span.muted { "key " span.mono { (cut(key, 60)) } } }
                @else { span.muted { "\u{2013}" } }
                @if let Some(sha256) = &job.plugin_sha256 { " " code.sha title=(sha256) { (shown(sha256.get(..8).unwrap_or(sha256))) } }
            }
        }
    }
}

fn pager(desk: &Desk, asked: &Asked, later: bool, next: Option<Cursor>) -> Markup {
    html! {
        @if later || next.is_some() {
            nav.pager aria-label="Pages of the list" {
                @if later { a.button href=(desk.link(&format!("/jobs{}", asked.query(&[])))) { "First page" } }
                @if let Some(next) = next { a.button rel="next" href=(desk.link(&format!("/jobs{}", asked.query(&[("after", &next.to_string())])))) { "Next page" } }
            }
        }
    }
}

fn empty(asked: &Asked, more: bool) -> Markup {
    html! {
        div.empty {
            p.empty-sign { (Icon::Jobs.svg()) }
            @if more {
                p.lead { "None of the " (count(i64::try_from(ROWS).unwrap_or_default())) " jobs that were looked at matches." }
                p.muted { "There are more to look at on the next page. A filter by entrypoint or status reads less." }
            } @else if asked.is_empty() {
                p.lead { "The queue is empty." }
                p.muted { "Put a job into it:" }
                pre.command { "pgq-host queue ENTRYPOINT '{\"hello\": \"world\"}'" }
            } @else {
                p.lead { "No job matches." }
                p.muted { "Jobs that ended are under the statuses of the log: successful, canceled, and so on." }
            }
        }
    }
}

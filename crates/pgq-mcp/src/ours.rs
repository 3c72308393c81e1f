//! The tools that PgQueuer has not.

use pgq_queue::{Content, FailureFilter, JobFilterBody, JobReport, Operator, OverviewFilter, Shape};
use pgq_queue::{asked_duration, shorten};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::arguments::Arguments;
use crate::tools::MOST_CONTENT;
use crate::wrong::Wrong;

/// Rows that are read for a page of jobs, whatever is found.
const ROWS: usize = 10_000;
/// Bytes of an error in a list.
const MOST_ERROR: usize = 4 << 10;

const HIDDEN: &str =
    "payload, headers, output and printed lines are withheld: the server was started without --payloads";

/// The answer of one of them; `None`: there is no such tool.
pub(crate) async fn answer(
    operator: &Operator,
    name: &str,
    asked: &Arguments<'_>,
    shows_contents: bool,
) -> Result<Option<Answer>, Wrong> {
    let size = |number: i64| usize::try_from(number).unwrap_or_default();
    Ok(Some(match name {
        "incidents" => {
            let older = asked_duration("older", asked.text("older")?.unwrap_or_default())?;
            Answer::one(&operator.incidents(older).await?)
        }
        "overview" => {
            let (after, entrypoint) = (asked.owned("after")?, asked.owned("entrypoint")?);
            let filter = OverviewFilter { after, entrypoint, limit: size(asked.whole("limit")?) };
            Answer::one(&operator.overview(&filter).await?)
        }
        "failures" => {
            let younger = asked.text("younger")?.map(|text| asked_duration("younger", text)).transpose()?;
            Answer::one(&operator.failures(&FailureFilter { entrypoint: asked.owned("entrypoint")?, younger }).await?)
        }
        "jobs" => jobs(operator, asked, size(asked.whole("limit")?)).await?,
        "job" => {
            let (id, bytes) = (asked.whole("id")?, asked.whole("bytes")?.min(MOST_CONTENT));
            let bytes = if shows_contents { i32::try_from(bytes).unwrap_or_default() } else { 0 };
            let Some(report) = operator.job(id, bytes).await? else {
                return Err(Wrong::Asked(format!(
                    "id: neither the queue nor the log has a job {id}; old log rows may be gone; `jobs` lists some"
                )));
            };
            Answer::One(job(report, shows_contents))
        }
        "logs" if !shows_contents => {
            return Err(Wrong::Asked(
                "what runs printed is withheld, as it may hold what payloads hold: whoever starts this server has to \
                 add --payloads"
                    .into(),
            ));
        }
        "logs" => {
            let runs = asked.whole("runs")?;
            let lines = match (asked.number("job_id")?, asked.owned("entrypoint")?) {
                (Some(_), Some(_)) => {
                    return Err(Wrong::Asked("job_id and entrypoint are both set; leave one out".into()));
                }
                (Some(id), None) => operator.lines_of_job(id, runs).await?,
                (None, entrypoint) => operator.lines(entrypoint, runs).await?.0,
            };
            Answer::One(json!({ "runs": lines }))
        }
        "plugins" => Answer::one(&operator.plugins().await?),
        "hosts" => Answer::one(&operator.fleet().await?),
        "pauses" => {
            let pauses = if operator.knows_pauses().await? { operator.pauses().await? } else { Vec::new() };
            Answer::One(json!({ "pauses": pauses }))
        }
        _ => return Ok(None),
    }))
}

async fn jobs(operator: &Operator, asked: &Arguments<'_>, limit: usize) -> Result<Answer, Wrong> {
    let filter = JobFilterBody {
        status: asked.owned("status")?,
        entrypoint: asked.owned("entrypoint")?,
        older: asked.owned("older")?,
        younger: asked.owned("younger")?,
        error: asked.owned("error")?,
        header: asked.owned("header")?,
        plugin: asked.owned("plugin")?,
        cause: asked.owned("cause")?,
    };
    let filter = filter.filter()?;
    let after = asked
        .text("after")?
        .map(|text| text.parse().map_err(|problem: String| Wrong::Asked(format!("after: {text:?}: {problem}"))));
    let after = after.transpose()?;
    if after.is_some_and(|after| !filter.is_continued_by(after)) {
        return Err(Wrong::Asked(
            "after: it is a place in another list; take it from a page with the same filter".into(),
        ));
    }
    let mut page = operator.jobs(&filter, after, limit, ROWS).await?;
    page.jobs.iter_mut().filter_map(|job| job.error.as_mut()).for_each(|error| shorten(error, MOST_ERROR));
    Ok(Answer::one(&page))
}

/// Headers, payload and output as texts: to the last digit, and none of them is part of the answer's
/// own structure.
fn job(mut report: JobReport, shows_contents: bool) -> Value {
    if !shows_contents {
        report.hide_contents();
    }
    report.row.iter_mut().filter_map(|row| row.payload.as_mut()).for_each(as_text);
    report.output.iter_mut().for_each(|output| as_text(&mut output.content));
    let headers = report.row.as_mut().and_then(|row| row.headers.take());
    let mut answer = serde_json::to_value(&report).unwrap_or_default();
    if let Some(headers) = headers {
        answer["row"]["headers"] = headers.get().into();
    }
    if !shows_contents {
        answer["hidden"] = HIDDEN.into();
    }
    answer
}

fn as_text(content: &mut Content) {
    if let Shape::Json(json) = &content.shape {
        content.shape = Shape::Text(json.get().to_owned());
    }
}

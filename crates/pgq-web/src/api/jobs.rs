//! Jobs: a page of them, one with everything that is known of it, and what runs printed.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use pgq_queue::{JobPage, JobReport, RunLines, shorten, shorten_all};
use serde::{Deserialize, Serialize};

use super::ask::{Id, Params, bad, limit};
use crate::job_filter::JobFilterBody;
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::{Role, Visitor};

/// Rows that are read for a page, whatever is found.
const MOST_ROWS: u32 = 50_000;
const ROWS: usize = 10_000;
/// Bytes of an error in a list, and of a text in a traceback.
const MOST_ERROR: usize = 4 << 10;
const MOST_TEXT: usize = 16 << 10;
/// Bytes of a payload and of an output.
const BYTES: i32 = 64 << 10;
const MOST_BYTES: i32 = 1 << 20;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsParams {
    /// `queued`, `picked` or `failed` of jobs in the queue; `successful`, `exception`, `canceled` or
    /// `deleted` of those in the log. None: all in the queue.
    status: Option<String>,
    entrypoint: Option<String>,
    /// At least this old: seconds like `30`, or with a unit like `15m`.
    older: Option<String>,
    /// At most this old.
    younger: Option<String>,
    /// With this text in their last error.
    error: Option<String>,
    /// With this header, or this value of it: `name` or `name=value`.
    header: Option<String>,
    /// How the sha256 of the plugin begins that runs them, or in which they last failed.
    plugin: Option<String>,
    /// The key of a group of failures, of held jobs.
    cause: Option<String>,
    /// Where the page begins: `next` of the page before.
    after: Option<String>,
    /// Jobs at most: 50, and up to 1,000.
    limit: Option<u32>,
    /// Rows to look at: 10,000, and up to 50,000. A page that found fewer jobs than its limit among
    /// them says where to go on.
    look: Option<u32>,
}

/// A page of the jobs that match.
#[utoipa::path(
    get, path = "/jobs", params(JobsParams),
    responses((status = 200, body = JobPage), (status = "default", body = Problem))
)]
pub(super) async fn jobs(
    State(site): State<Site>,
    _: Visitor,
    Params(params): Params<JobsParams>,
) -> Result<Json<JobPage>, Problem> {
    let JobsParams { status, entrypoint, older, younger, error, header, plugin, cause, after, limit: asked, look } =
        params;
    let filter = JobFilterBody { status, entrypoint, older, younger, error, header, plugin, cause }.filter()?;
    let after = after
        .map(|text| text.parse().map_err(|problem: String| bad(format!("after: {text:?}: {problem}"))))
        .transpose()?;
    if after.is_some_and(|after| !filter.is_continued_by(after)) {
        return Err(bad("after: it is a place in another list; take it from a page with the same filter"));
    }
    let rows = match look {
        None => ROWS,
        Some(look) if (1..=MOST_ROWS).contains(&look) => usize::try_from(look).unwrap_or(ROWS),
        Some(look) => return Err(bad(format!("look: {look} is not between 1 and {MOST_ROWS}"))),
    };
    let mut page = site.operator.jobs(&filter, after, limit(asked, 50, 1_000)?, rows).await?;
    page.jobs.iter_mut().filter_map(|job| job.error.as_mut()).for_each(|error| shorten(error, MOST_ERROR));
    Ok(Json(page))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobParams {
    /// Bytes of its payload and of its output: 65,536, and up to 1,048,576.
    bytes: Option<i32>,
}

/// A job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct JobAnswer {
    #[serde(flatten)]
    report: JobReport,
    /// Whether payload, headers, output and lines are left out, because a viewer asked.
    hidden: bool,
}

/// Everything that is known of one job. Texts in tracebacks end after 16 KiB.
#[utoipa::path(
    get, path = "/jobs/{id}", params(("id" = i64, Path), JobParams),
    responses((status = 200, body = JobAnswer), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn job(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Params(params): Params<JobParams>,
) -> Result<Json<JobAnswer>, Problem> {
    let bytes = params.bytes.unwrap_or(BYTES);
    if !(0..=MOST_BYTES).contains(&bytes) {
        return Err(bad(format!("bytes: {bytes} is not between 0 and {MOST_BYTES}")));
    }
    let mut report = site.operator.job(id, bytes).await?.ok_or_else(|| unknown(id))?;
    report
        .events
        .iter_mut()
        .filter_map(|event| event.traceback.as_mut())
        .for_each(|traceback| shorten_all(traceback, MOST_TEXT));
    let hidden = visitor.role < Role::Operator;
    if hidden {
        report.hide_contents();
    }
    Ok(Json(JobAnswer { report, hidden }))
}

fn unknown(id: i64) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!("neither the queue nor the log has a job {id}; old log rows may be gone"),
    )
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunsParams {
    /// Runs at most: 10, and up to 100.
    runs: Option<u32>,
}

/// What the last runs of a job printed, as far as it is kept, the oldest of them first. For
/// operators.
#[utoipa::path(
    get, path = "/jobs/{id}/lines", params(("id" = i64, Path), RunsParams),
    responses((status = 200, body = [RunLines]), (status = 403, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn lines_of_job(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Params(params): Params<RunsParams>,
) -> Result<Json<Vec<RunLines>>, Problem> {
    visitor.require(Role::Operator)?;
    let runs = limit(params.runs, 10, 100)?;
    Ok(Json(site.operator.lines_of_job(id, i64::try_from(runs).unwrap_or(100)).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LinesParams {
    /// Of this entrypoint, among the last 10,000 runs that printed something.
    entrypoint: Option<String>,
    /// Runs at most: 10, and up to 100.
    runs: Option<u32>,
}

/// What the last runs of an entrypoint, or of all, printed, the oldest of them first. For operators.
#[utoipa::path(
    get, path = "/lines", params(LinesParams),
    responses((status = 200, body = [RunLines]), (status = 403, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn lines(
    State(site): State<Site>,
    visitor: Visitor,
    Params(params): Params<LinesParams>,
) -> Result<Json<Vec<RunLines>>, Problem> {
    visitor.require(Role::Operator)?;
    let runs = limit(params.runs, 10, 100)?;
    let (lines, _) = site.operator.lines(params.entrypoint, i64::try_from(runs).unwrap_or(100)).await?;
    Ok(Json(lines))
}

//! Schedules: when each runs next, and changing, running or removing one by hand.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use http::StatusCode;
use pgq_queue::{Adjusted, ListedSchedule};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ask::{Body, Id};
use crate::problem::Problem;
use crate::schedule_change::{ScheduleChange, ScheduleError, change};
use crate::site::Site;
use crate::visitor::{Role, Visitor};

/// Ticks that are told of each schedule.
const TICKS: usize = 5;

/// A schedule.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ScheduleLook {
    #[serde(flatten)]
    schedule: ListedSchedule,
    /// The next tick, and those after it. Of a paused one, they are skipped.
    next_runs: Vec<DateTime<Utc>>,
    /// Why there are none to tell: an expression that only Python workers can read.
    problem: Option<String>,
}

impl ScheduleLook {
    fn new(schedule: ListedSchedule) -> ScheduleLook {
        match pgq_cron::Schedule::from_key(schedule.effective()) {
            Ok(cron) => {
                let first = Some(schedule.next_run);
                let ticks = std::iter::successors(first, |tick| cron.next_after(*tick));
                ScheduleLook { next_runs: ticks.take(TICKS).collect(), problem: None, schedule }
            }
            Err(error) => ScheduleLook { next_runs: Vec::new(), problem: Some(error.to_string()), schedule },
        }
    }
}

/// All schedules.
#[utoipa::path(
    get, path = "/schedules",
    responses((status = 200, body = [ScheduleLook]), (status = "default", body = Problem))
)]
pub(super) async fn schedules(State(site): State<Site>, _: Visitor) -> Result<Json<Vec<ScheduleLook>>, Problem> {
    let schedules = site.operator.schedules().await?;
    Ok(Json(schedules.into_iter().map(ScheduleLook::new).collect()))
}

/// Why, for the audit.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReasonBody {
    reason: Option<String>,
}

/// A job that was enqueued.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Enqueued {
    job: i64,
}

fn unknown(id: i64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no schedule {id}; GET schedules lists them"))
}

/// Enqueue the job of a schedule now. Its next tick stays where it is.
#[utoipa::path(
    post, path = "/schedules/{id}/run", params(("id" = i64, Path)), request_body = ReasonBody,
    responses((status = 200, body = Enqueued), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn run(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(body): Body<ReasonBody>,
) -> Result<Json<Enqueued>, Problem> {
    visitor.require(Role::Operator)?;
    let job = site.operator.run_schedule(id).await?.ok_or_else(|| unknown(id))?;
    let actor = visitor.actor(body.reason.as_deref());
    site.operator.begin_audit("run_schedule", &actor, &json!({ "schedule": id, "job": job })).await?;
    Ok(Json(Enqueued { job }))
}

/// Remove a schedule. A host that serves a plugin with it adds it again.
#[utoipa::path(
    post, path = "/schedules/{id}/remove", params(("id" = i64, Path)), request_body = ReasonBody,
    responses((status = 204), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn remove(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(body): Body<ReasonBody>,
) -> Result<StatusCode, Problem> {
    visitor.require(Role::Operator)?;
    let removed = site.operator.remove_schedules(&[id], &[]).await?;
    let schedule = removed.first().ok_or_else(|| unknown(id))?;
    let actor = visitor.actor(body.reason.as_deref());
    let asked = json!({ "schedule": id, "entrypoint": schedule.entrypoint });
    site.operator.begin_audit("remove_schedule", &actor, &asked).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How hosts run a schedule now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AdjustedSchedule {
    entrypoint: String,
    /// As its plugin declares it.
    expression: String,
    paused: bool,
    /// The expression by which it runs instead.
    replaced: Option<String>,
}

impl From<Adjusted> for AdjustedSchedule {
    fn from(Adjusted { expression, entrypoint, paused, replaced }: Adjusted) -> AdjustedSchedule {
        AdjustedSchedule { entrypoint, expression, paused, replaced }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Problem {
        let status = match error {
            ScheduleError::Unknown(_) => StatusCode::NOT_FOUND,
            ScheduleError::Expression(_) | ScheduleError::TooLong(_) => StatusCode::BAD_REQUEST,
            ScheduleError::NoTable | ScheduleError::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, error.to_string())
    }
}

async fn adjust(
    site: &Site,
    visitor: &Visitor,
    id: i64,
    reason: Option<&str>,
    wanted: ScheduleChange,
) -> Result<Json<AdjustedSchedule>, Problem> {
    visitor.require(Role::Operator)?;
    Ok(Json(change(&site.operator, &visitor.actor(reason), id, &wanted).await?.into()))
}

/// Have hosts skip the ticks of a schedule, until it is resumed. Workers in Python go on.
#[utoipa::path(
    post, path = "/schedules/{id}/pause", params(("id" = i64, Path)), request_body = ReasonBody,
    responses((status = 200, body = AdjustedSchedule), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn pause(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(body): Body<ReasonBody>,
) -> Result<Json<AdjustedSchedule>, Problem> {
    adjust(&site, &visitor, id, body.reason.as_deref(), ScheduleChange::Pause).await
}

/// Have hosts run a paused schedule again, from its next tick on.
#[utoipa::path(
    post, path = "/schedules/{id}/resume", params(("id" = i64, Path)), request_body = ReasonBody,
    responses((status = 200, body = AdjustedSchedule), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn resume(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(body): Body<ReasonBody>,
) -> Result<Json<AdjustedSchedule>, Problem> {
    adjust(&site, &visitor, id, body.reason.as_deref(), ScheduleChange::Resume).await
}

/// An expression.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditBody {
    /// As plugins write it: `30 9 * * mon-fri`.
    expression: String,
    /// An IANA name; UTC without one.
    time_zone: Option<String>,
    reason: Option<String>,
}

/// Have hosts run a schedule by another expression than its plugin declares.
#[utoipa::path(
    post, path = "/schedules/{id}/edit", params(("id" = i64, Path)), request_body = EditBody,
    responses((status = 200, body = AdjustedSchedule), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn edit(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(EditBody { expression, time_zone, reason }): Body<EditBody>,
) -> Result<Json<AdjustedSchedule>, Problem> {
    adjust(&site, &visitor, id, reason.as_deref(), ScheduleChange::Edit { expression, zone: time_zone }).await
}

/// Have hosts run a schedule as its plugin declares it again.
#[utoipa::path(
    post, path = "/schedules/{id}/restore", params(("id" = i64, Path)), request_body = ReasonBody,
    responses((status = 200, body = AdjustedSchedule), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn restore(
    State(site): State<Site>,
    visitor: Visitor,
    Id(id): Id,
    Body(body): Body<ReasonBody>,
) -> Result<Json<AdjustedSchedule>, Problem> {
    adjust(&site, &visitor, id, body.reason.as_deref(), ScheduleChange::Restore).await
}

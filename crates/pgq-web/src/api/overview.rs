//! What is going on, failures by cause, and who works on the queue.

use axum::Json;
use axum::extract::State;
use pgq_queue::{
    FailureFilter, Failures, Fleet, Incidents, MOST_ENTRYPOINTS, Overview, OverviewFilter, PauseRow, Plugins, Troubles,
};
use serde::Deserialize;

use super::ask::{Params, limit};
use crate::job_filter::duration;
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::Visitor;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OverviewParams {
    /// Entrypoints after this one, by name: `next` of the page before.
    after: Option<String>,
    /// This entrypoint alone. The minutes are its own then.
    entrypoint: Option<String>,
    /// Entrypoints at most: 100, and up to 1,000.
    limit: Option<u32>,
}

/// What waits, runs and is held of each entrypoint, and what was logged in the last hour.
#[utoipa::path(
    get, path = "/overview", params(OverviewParams),
    responses((status = 200, body = Overview), (status = "default", body = Problem))
)]
pub(super) async fn overview(
    State(site): State<Site>,
    _: Visitor,
    Params(params): Params<OverviewParams>,
) -> Result<Json<Overview>, Problem> {
    let limit = limit(params.limit, 100, MOST_ENTRYPOINTS)?;
    let filter = OverviewFilter { after: params.after, entrypoint: params.entrypoint, limit };
    Ok(Json(site.operator.overview(&filter).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FailureParams {
    /// Of this entrypoint.
    entrypoint: Option<String>,
    /// At most this old: seconds like `30`, or with a unit like `15m`.
    younger: Option<String>,
}

/// The newest failed runs, by their cause, with the versions of plugins that they occurred in.
#[utoipa::path(
    get, path = "/failures", params(FailureParams),
    responses((status = 200, body = Failures), (status = "default", body = Problem))
)]
pub(super) async fn failures(
    State(site): State<Site>,
    _: Visitor,
    Params(params): Params<FailureParams>,
) -> Result<Json<Failures>, Problem> {
    let younger = params.younger.as_deref().map(|text| duration("younger", text)).transpose()?;
    let filter = FailureFilter { entrypoint: params.entrypoint, younger };
    Ok(Json(site.operator.failures(&filter).await?))
}

/// The hosts that run, with what they serve, and other workers that hold jobs.
#[utoipa::path(get, path = "/hosts", responses((status = 200, body = Fleet), (status = "default", body = Problem)))]
pub(super) async fn hosts(State(site): State<Site>, _: Visitor) -> Result<Json<Fleet>, Problem> {
    Ok(Json(site.operator.fleet().await?))
}

/// What is wrong around the queue: transactions that hold back vacuum, and hosts that died or are silent.
#[utoipa::path(get, path = "/troubles", responses((status = 200, body = Troubles), (status = "default", body = Problem)))]
pub(super) async fn troubles(State(site): State<Site>, _: Visitor) -> Result<Json<Troubles>, Problem> {
    Ok(Json(site.operator.troubles().await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentParams {
    /// What has been wrong for less time is left out: seconds like `30`, or with a unit like `5m`, which is
    /// the default.
    older: Option<String>,
}

/// What is wrong now: what is stuck, since when, why, and the version of a plugin that it began with.
#[utoipa::path(
    get, path = "/incidents", params(IncidentParams),
    responses((status = 200, body = Incidents), (status = "default", body = Problem))
)]
pub(super) async fn incidents(
    State(site): State<Site>,
    _: Visitor,
    Params(params): Params<IncidentParams>,
) -> Result<Json<Incidents>, Problem> {
    let older = duration("older", params.older.as_deref().unwrap_or("5m"))?;
    Ok(Json(site.operator.incidents(older).await?))
}

/// Plugins over the whole fleet, with their versions and what was found out about them.
#[utoipa::path(get, path = "/plugins", responses((status = 200, body = Plugins), (status = "default", body = Problem)))]
pub(super) async fn plugins(State(site): State<Site>, _: Visitor) -> Result<Json<Plugins>, Problem> {
    Ok(Json(site.operator.plugins().await?))
}

/// What operators paused, the latest first.
#[utoipa::path(get, path = "/pauses", responses((status = 200, body = [PauseRow]), (status = "default", body = Problem)))]
pub(super) async fn pauses(State(site): State<Site>, _: Visitor) -> Result<Json<Vec<PauseRow>>, Problem> {
    if !site.operator.knows_pauses().await? {
        return Ok(Json(Vec::new()));
    }
    Ok(Json(site.operator.pauses().await?))
}

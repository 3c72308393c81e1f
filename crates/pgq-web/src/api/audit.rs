//! Who changed what by hand.

use axum::Json;
use axum::extract::State;
use pgq_queue::AuditRow;
use serde::{Deserialize, Serialize};

use super::ask::{Params, limit};
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::Visitor;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditParams {
    /// What was done before this entry: `next` of the page before.
    before: Option<i64>,
    /// Entries at most: 100, and up to 1,000.
    limit: Option<u32>,
}

/// Changes by hand.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AuditPage {
    /// The latest first.
    entries: Vec<AuditRow>,
    /// Where the next page begins; `null`: there are no more.
    next: Option<i64>,
}

/// What was changed by hand, and by whom.
#[utoipa::path(
    get, path = "/audit", params(AuditParams),
    responses((status = 200, body = AuditPage), (status = "default", body = Problem))
)]
pub(super) async fn audit(
    State(site): State<Site>,
    _: Visitor,
    Params(params): Params<AuditParams>,
) -> Result<Json<AuditPage>, Problem> {
    let limit = limit(params.limit, 100, 1_000)?;
    let entries = site.operator.audit_before(params.before, i64::try_from(limit).unwrap_or(i64::MAX)).await?;
    let next = if entries.len() >= limit { entries.last().map(|entry| entry.id) } else { None };
    Ok(Json(AuditPage { entries, next }))
}

//! Versions that no host is to serve, by an operator's word.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use pgq_queue::{Quarantine, QuarantineError};
use serde::{Deserialize, Serialize};

use super::ask::Body;
use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::{Role, Visitor};

impl From<QuarantineError> for Problem {
    fn from(error: QuarantineError) -> Problem {
        let status = match error {
            QuarantineError::NoDigest(_) | QuarantineError::NoReason => StatusCode::BAD_REQUEST,
            QuarantineError::Unknown(_) => StatusCode::NOT_FOUND,
            QuarantineError::NoTable | QuarantineError::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, error.to_string())
    }
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QuarantineBody {
    /// The whole digest of the file. No host needs to have seen it yet.
    sha256: String,
    /// Why, for whoever finds the version refused.
    reason: String,
}

/// What is quarantined now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Quarantined {
    /// `null`: no host has seen the file.
    plugin: Option<String>,
    version: Option<String>,
    /// Hosts that served it.
    hosts: usize,
}

/// Have no host serve a version, until that is lifted: each goes back to the version before, and
/// without one its jobs wait.
#[utoipa::path(
    post, path = "/plugins/quarantine", request_body = QuarantineBody,
    responses((status = 200, body = Quarantined), (status = "default", body = Problem))
)]
pub(super) async fn quarantine(
    State(site): State<Site>,
    visitor: Visitor,
    Body(QuarantineBody { sha256, reason }): Body<QuarantineBody>,
) -> Result<Json<Quarantined>, Problem> {
    visitor.require(Role::Operator)?;
    let known = site.operator.plugins().await?;
    let found = known.find(&sha256);
    let plugin = found.map(|(plugin, _)| plugin.name.clone());
    let version = found.map(|(_, version)| version.version.clone());
    let hosts = found.map_or(0, |(_, version)| version.stable_on.len() + version.canary_on.len());
    let wanted = Quarantine { sha256, plugin: plugin.clone().unwrap_or_default(), version: version.clone() };
    site.operator.quarantine(&wanted, &visitor.actor(Some(&reason))).await?;
    Ok(Json(Quarantined { plugin, version, hosts }))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LiftBody {
    sha256: String,
    reason: Option<String>,
}

/// Have hosts serve a quarantined version again.
#[utoipa::path(
    post, path = "/plugins/lift", request_body = LiftBody,
    responses((status = 204), (status = 404, body = Problem), (status = "default", body = Problem))
)]
pub(super) async fn lift(
    State(site): State<Site>,
    visitor: Visitor,
    Body(LiftBody { sha256, reason }): Body<LiftBody>,
) -> Result<StatusCode, Problem> {
    visitor.require(Role::Operator)?;
    site.operator.lift_quarantine(&sha256, &visitor.actor(reason.as_deref())).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Who changed what by hand.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::problem::Problem;
use crate::site::Site;
use crate::visitor::Visitor;

/// A change that somebody made by hand.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct AuditEntry {
    id: i64,
    at: DateTime<Utc>,
    action: String,
    author: String,
    /// The database role.
    role: String,
    reason: Option<String>,
    /// How many jobs were changed.
    jobs: i64,
}

/// The latest hundred changes, newest first.
#[utoipa::path(get, path = "/audit", responses((status = 200, body = [AuditEntry]), (status = 503, body = Problem)))]
pub(super) async fn audit(State(site): State<Site>, _: Visitor) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let rows = site.operator.audit(100).await?;
    let entries = rows.into_iter().map(|row| AuditEntry {
        id: row.id,
        at: row.at,
        action: row.action,
        author: row.author,
        role: row.role,
        reason: row.reason,
        jobs: row.jobs,
    });
    Ok(Json(entries.collect()))
}

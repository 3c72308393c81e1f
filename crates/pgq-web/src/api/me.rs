//! Who asks.

use axum::Json;
use serde::Serialize;

use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// Who is logged in, and what a change has to send along.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    name: String,
    /// `viewer` or `operator`.
    role: &'static str,
    /// For the header `X-CSRF-Token` of a change, unless it has a bearer token.
    csrf: String,
}

/// Who asks.
#[utoipa::path(get, path = "/me", responses((status = 200, body = Me), (status = 401, body = Problem)))]
pub(super) async fn me(visitor: Visitor) -> Json<Me> {
    let role = match visitor.role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
    };
    Json(Me { name: visitor.name.to_string(), role, csrf: visitor.csrf.to_string() })
}

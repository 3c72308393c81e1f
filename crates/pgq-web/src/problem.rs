//! Why a request was not answered: problem details as RFC 9457 has them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An error of the API. `detail` names the value that was wrong and the remedy.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What the status means.
    pub title: String,
    pub detail: String,
}

impl Problem {
    /// With this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = status.canonical_reason().unwrap_or("error").to_owned();
        Problem { status: status.as_u16(), title, detail: detail.into() }
    }

    pub(crate) fn forbidden(detail: &str) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }
}

impl From<sqlx::Error> for Problem {
    /// The database's own words, which an operator needs; they hold no payload.
    fn from(error: sqlx::Error) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        // A page says it in its own way.
        response.extensions_mut().insert(self);
        response
    }
}

//! Whoever reads is answered in time, whatever the database does.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};

use crate::problem::Problem;

/// A little longer than what is read for all (`recent`), which says more.
const WITHIN: Duration = Duration::from_secs(8);

/// The answer, or that there is none. A change of many jobs takes the time that it takes: each of its
/// statements has its own.
pub(crate) async fn in_time(request: Request, next: Next) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    tokio::time::timeout(WITHIN, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!(
            "the database did not answer within {} s: it is silent or overloaded; `pgq-host doctor` looks for the cause",
            WITHIN.as_secs()
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
    })
}

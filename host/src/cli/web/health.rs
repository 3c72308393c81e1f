//! Whether the pages have their database.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use pgq_queue::Pool;
use pgq_queue::told::Told as _;
use pgq_web::server::{Handler, Response};

/// An answer is good for so long: probes, of which there may be many, are one statement.
const FRESH: Duration = Duration::from_secs(1);
/// Longer than the wait for a session, whose error says more.
const TIMEOUT: Duration = Duration::from_secs(4);

pub(super) struct Health {
    pool: Pool,
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Health {
    pub(super) fn new(pool: Pool) -> Health {
        Health { pool, last: Mutex::default() }
    }

    /// What is wrong with the database, if something is.
    pub(super) async fn trouble(&self) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((at, trouble)) = &*last
            && at.elapsed() < FRESH
        {
            return trouble.clone();
        }
        let ask = sqlx::query("SELECT 1").persistent(false).execute(&self.pool);
        let trouble = match tokio::time::timeout(TIMEOUT, ask).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.told()),
            Err(_) => Some(format!("no answer within {TIMEOUT:?}")),
        };
        *last = Some((Instant::now(), trouble.clone()));
        trouble
    }

    /// `/healthz` and `/readyz`, with PgQueuer's answer if all is well.
    pub(super) fn handler(self: &Arc<Health>) -> Handler {
        let health = Arc::clone(self);
        Arc::new(move |_| {
            let health = Arc::clone(&health);
            Box::pin(async move {
                let (status, body) = match health.trouble().await {
                    None => (StatusCode::OK, json!({ "status": "ok" })),
                    Some(trouble) => {
                        (StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "unavailable", "error": trouble }))
                    }
                };
                let mut response = Response::new(body.to_string().into());
                *response.status_mut() = status;
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            })
        })
    }
}

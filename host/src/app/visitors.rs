//! The thread that answers visitors of the pages. However many they are, the threads that claim jobs
//! and renew leases only pass bytes on for them.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use http::StatusCode;
use pgq_web::server::{Handler, Response};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// Passwords that are hashed, and look-ups of names.
const BLOCKING_THREADS: usize = 4;

/// The same answers, from there.
pub(super) fn apart(handler: Handler) -> anyhow::Result<Handler> {
    // For the rest of the process, and never dropped: a runtime must not end within another.
    static VISITORS: OnceLock<Runtime> = OnceLock::new();
    let runtime = match VISITORS.get() {
        Some(runtime) => runtime,
        None => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).max_blocking_threads(BLOCKING_THREADS).thread_name("pgq-pages");
            let made = builder.enable_all().build().context("cannot start the thread of the pages")?;
            VISITORS.get_or_init(|| made)
        }
    };
    Ok(Arc::new(move |request| {
        // Whoever goes takes the answer along.
        let answer = AbortOnDropHandle::new(runtime.spawn(handler(request)));
        Box::pin(async move { answer.await.unwrap_or_else(|_| failed()) })
    }))
}

/// The page panicked, which the log has.
fn failed() -> Response {
    let mut response = Response::new("the page failed; the host's log says why\n".into());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

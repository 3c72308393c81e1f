//! The pages, which are there before the worker that they are about.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::telemetry::{self, Pages};

/// Serve them at this address, if there is one, and watch that they are served until `stop`.
pub(super) fn open(
    address: Option<SocketAddr>,
    stop: CancellationToken,
    tasks: &mut Tasks,
) -> anyhow::Result<Option<&'static Pages>> {
    let Some((pages, serve)) = address.map(telemetry::open).transpose()? else { return Ok(None) };
    // For the rest of the process: a worker that is started anew finds its pages served.
    serve.map(tokio::spawn);
    tasks.spawn("pages", async move {
        stop.run_until_cancelled(pages.ended()).await;
    });
    Ok(Some(pages))
}

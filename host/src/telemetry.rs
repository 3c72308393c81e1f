//! Serves `/healthz`, `/readyz` and `/metrics` over HTTP, and the pages beside them. Without
//! `--listen`, nothing is counted.

mod catalog;
mod gauges;
mod health;
mod labels;
mod metric;
mod observed;
mod pages;
mod recorder;
mod server;
mod worker_handles;

use std::net::SocketAddr;
use std::sync::OnceLock;

use anyhow::Context as _;
use pgq_web::server::{self as http_server, Handler};

pub use catalog::CATALOG;
pub use metric::{Kind, Metric, Section};
pub use pages::{Pages, Shown};
pub use worker_handles::WorkerHandles;

/// Start counting, and serve the pages at this address. `site` answers all but the three. The first call returns the future that
/// serves them, which the caller must run. A worker that restarts finds them already open.
///
/// # Errors
///
/// Fails if the address cannot be used or a metrics recorder is already installed.
pub fn open(
    address: SocketAddr,
    site: Option<Handler>,
) -> anyhow::Result<(&'static Pages, Option<impl Future<Output = ()> + Send + 'static>)> {
    static OPEN: OnceLock<Pages> = OnceLock::new();
    if let Some(pages) = OPEN.get() {
        return Ok((pages, None));
    }
    let listener = http_server::bind(address)
        .with_context(|| format!("cannot listen on {address}; name another address with --listen"))?;
    let pages = OPEN.get_or_init({
        let counts = recorder::install()?;
        || Pages::new(counts)
    });
    tracing::info!(%address, "serving /healthz, /readyz and /metrics");
    let serving = pages.serving();
    let serve = async move {
        let _serving = serving;
        server::serve(listener, pages, site).await;
    };
    Ok((pages, Some(serve)))
}

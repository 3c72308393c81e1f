//! What this host tells over HTTP, for whoever asks: `/healthz`, `/readyz` and `/metrics`. Without `--listen` nothing is counted.

mod catalog;
mod gauges;
mod health;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

pub use health::Subject;

/// The pages, from the start of the process to its end; and the worker that they are about, while there is one.
pub struct Pages {
    counts: PrometheusHandle,
    subject: Mutex<Option<Arc<Subject>>>,
    depth: gauges::Sample,
    ended: CancellationToken,
}

/// Dropped, the pages have no worker any more.
pub struct Shown(&'static Pages);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.subject.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Pages {
    /// Count from now on, and serve the pages at this address; what serves them is handed back once, to be run. A worker that is started
    /// anew finds them served.
    pub fn open(address: SocketAddr) -> anyhow::Result<(&'static Pages, Option<impl Future<Output = ()> + Send + 'static>)> {
        static OPEN: OnceLock<Pages> = OnceLock::new();
        if let Some(pages) = OPEN.get() {
            return Ok((pages, None));
        }
        let listener = server::bind(address).with_context(|| format!("cannot listen on {address}; name another address with --listen"))?;
        let pages = OPEN.get_or_init({
            let counts = catalog::install()?;
            || Pages { counts, subject: Mutex::default(), depth: gauges::Sample::default(), ended: CancellationToken::new() }
        });
        tracing::info!(%address, "serving /healthz, /readyz and /metrics");
        let ended = pages.ended.clone().drop_guard();
        let serve = async move {
            let _ended = ended;
            server::serve(listener, pages).await;
        };
        Ok((pages, Some(serve)))
    }

    /// Resolves when they are served no more, which nobody asks for.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Be about this worker, until what is handed back is dropped.
    pub fn show(&'static self, subject: Subject) -> Shown {
        *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(subject));
        Shown(self)
    }

    fn subject(&self) -> Option<Arc<Subject>> {
        self.subject.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything that is counted, and how things stand.
    async fn metrics(&self) -> String {
        let mut page = self.counts.render();
        if let Some(subject) = self.subject() {
            gauges::write(&mut page, &subject, &self.depth).await;
        }
        page
    }
}

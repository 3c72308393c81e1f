//! The pages, and the worker that they are about.

use std::sync::{Arc, Mutex, PoisonError};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::gauges;
use super::worker_handles::WorkerHandles;

/// The pages, from the start of the process to its end; and the worker that they are about, while
/// there is one.
pub struct Pages {
    pub(super) counts: PrometheusHandle,
    worker: Mutex<Option<Arc<WorkerHandles>>>,
    depth: gauges::Sample,
    ended: CancellationToken,
}

/// Dropped, the pages have no worker any more.
pub struct Shown(&'static Pages);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.worker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Pages {
    /// About no worker yet. They end with the guard that [`Pages::serving`] gives.
    pub(super) fn new(counts: PrometheusHandle) -> Pages {
        Pages { counts, worker: Mutex::default(), depth: gauges::Sample::default(), ended: CancellationToken::new() }
    }

    /// Whatever serves them keeps this.
    pub(super) fn serving(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Resolves when they are served no more, which nobody asks for.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Be about this worker, until what is handed back is dropped.
    pub fn show(&'static self, worker: WorkerHandles) -> Shown {
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(worker));
        Shown(self)
    }

    pub(super) fn worker(&self) -> Option<Arc<WorkerHandles>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything that is counted, and how things stand.
    pub(super) async fn metrics(&self) -> String {
        let mut page = self.counts.render();
        if let Some(worker) = self.worker() {
            gauges::write(&mut page, &worker, &self.depth).await;
        }
        page
    }
}

//! The pages, and the worker that they describe.

use std::sync::{Arc, Mutex, PoisonError};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::gauges;
use super::observed::Sample;
use super::worker_handles::WorkerHandles;

/// The pages, which exist from the start of the process to its end, and the current worker, if
/// there is one.
pub struct Pages {
    pub(super) counts: PrometheusHandle,
    worker: Mutex<Option<Arc<WorkerHandles>>>,
    sample: Sample,
    process: metrics_process::Collector,
    ended: CancellationToken,
}

/// Dropping it removes the worker from the pages.
pub struct Shown(&'static Pages);

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.worker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Pages {
    /// Pages without a worker. They end when the guard from [`Pages::serving`] is dropped.
    pub(super) fn new(counts: PrometheusHandle) -> Pages {
        Pages {
            counts,
            worker: Mutex::default(),
            sample: Sample::default(),
            process: metrics_process::Collector::default(),
            ended: CancellationToken::new(),
        }
    }

    /// A guard for the task that serves the pages.
    pub(super) fn serving(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Resolves when they are no longer served, which only happens if that task fails.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Describe this worker until the returned guard is dropped.
    pub fn show(&'static self, worker: WorkerHandles) -> Shown {
        *self.worker.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(worker));
        Shown(self)
    }

    pub(super) fn worker(&self) -> Option<Arc<WorkerHandles>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All counters and gauges.
    pub(super) async fn metrics(&self) -> String {
        self.process.collect();
        let mut page = self.counts.render();
        if let Some(worker) = self.worker() {
            gauges::write(&mut page, &worker, &self.sample).await;
        }
        page
    }
}

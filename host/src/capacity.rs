//! The number of calls at a time, shared by the executor that starts them and by what claims jobs
//! for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The places of one host, each for one call.
#[derive(Debug)]
pub struct Capacity {
    max: usize,
    active: AtomicUsize,
    freed: Notify,
}

/// Counts a call until it is dropped, however its task ends.
#[derive(Debug)]
pub struct ActiveCall(Arc<Capacity>);

impl Capacity {
    pub fn new(max: usize) -> Arc<Capacity> {
        Arc::new(Capacity { max, active: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Calls that may run at a time.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Calls whose outcomes are not handed to the recorder yet, those that wait for a place
    /// included.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Places that no call has or waits for.
    pub fn free(&self) -> usize {
        self.max.saturating_sub(self.active())
    }

    /// Count one more call, until the returned value is dropped.
    pub fn begin(self: &Arc<Self>) -> ActiveCall {
        self.active.fetch_add(1, Ordering::AcqRel);
        ActiveCall(Arc::clone(self))
    }

    /// Resolves when a call has ended, or made room for others, since the last time. There is one
    /// waiter, the worker.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Wake the waiter: there may be more room, though no call ended.
    pub fn notify(&self) {
        self.freed.notify_one();
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

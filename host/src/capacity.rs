//! How many calls run at a time, and how many there are: shared by what starts calls and what claims jobs for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The places of one host.
#[derive(Debug)]
pub struct Capacity {
    max: usize,
    active: AtomicUsize,
    freed: Notify,
}

/// A call that has not ended, as far as others count it; however its task ends.
#[derive(Debug)]
pub struct ActiveCall(Arc<Capacity>);

impl Capacity {
    /// So many calls run at a time.
    pub fn new(max: usize) -> Arc<Capacity> {
        Arc::new(Capacity { max, active: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// Calls that run at a time.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Calls that were started and whose outcomes were not handed over yet, those that wait for a place included.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Places that nobody has or waits for.
    pub fn free(&self) -> usize {
        self.max.saturating_sub(self.active())
    }

    /// One more call, until what is returned is dropped.
    pub fn begin(self: &Arc<Self>) -> ActiveCall {
        self.active.fetch_add(1, Ordering::AcqRel);
        ActiveCall(Arc::clone(self))
    }

    /// Resolves when a call ended, or made room for others, since the last call of this. One waiter: the worker.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// There may be more room than before, though no call ended.
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

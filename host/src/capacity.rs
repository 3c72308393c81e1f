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
    /// The waiter is woken by an end of a call that leaves no more than this active.
    wake_at: AtomicUsize,
    freed: Notify,
}

/// Counts a call until it is dropped, however its task ends.
#[derive(Debug)]
pub struct ActiveCall(Arc<Capacity>);

impl Capacity {
    pub fn new(max: usize) -> Arc<Capacity> {
        Arc::new(Capacity {
            max,
            active: AtomicUsize::new(0),
            wake_at: AtomicUsize::new(usize::MAX),
            freed: Notify::new(),
        })
    }

    /// Calls that may run at a time.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Calls whose outcomes are not handed to the recorder yet, those that wait for a place
    /// included.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::SeqCst)
    }

    /// Places that no call has or waits for.
    pub fn free(&self) -> usize {
        self.max.saturating_sub(self.active())
    }

    /// Count one more call, until the returned value is dropped.
    pub fn begin(self: &Arc<Self>) -> ActiveCall {
        self.active.fetch_add(1, Ordering::SeqCst);
        ActiveCall(Arc::clone(self))
    }

    /// From now on, wake the waiter only when no more calls than this are active. Each time costs
    /// two threads a system call or more, which is as much as a short job. To be called before the
    /// calls are counted for which the waiter would wait.
    pub fn wake_at(&self, active: usize) {
        self.wake_at.store(active, Ordering::SeqCst);
    }

    /// Resolves when a call has ended that leaves [few enough](Capacity::wake_at), or made room for
    /// others, since the last time. There is one waiter, the worker.
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
        let left = self.0.active.fetch_sub(1, Ordering::SeqCst) - 1;
        // In one order with the waiter, who sets this and then counts: one of both sees the other.
        if left <= self.0.wake_at.load(Ordering::SeqCst) {
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_waiter_is_woken_once_few_enough_calls_are_left() {
        let capacity = Capacity::new(4);
        let mut calls: Vec<ActiveCall> = (0..4).map(|_| capacity.begin()).collect();
        let end = |calls: &mut Vec<ActiveCall>| drop(calls.pop());
        let is_woken = || capacity.freed().now_or_never().is_some();
        end(&mut calls);
        assert!(is_woken(), "by any, until somebody says otherwise");
        capacity.wake_at(1);
        end(&mut calls);
        assert!(!is_woken(), "two are left");
        end(&mut calls);
        assert!(is_woken());
        capacity.wake_at(0);
        capacity.notify();
        assert!(is_woken(), "there is room, though no call ended");
        end(&mut calls);
        assert!(is_woken(), "none is left");
    }
}

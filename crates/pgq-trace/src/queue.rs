//! What waits to be sent, bounded by spans and by bytes. Whoever ends a run never waits here.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::finished::Finished;

/// Counts spans that nobody gets to see, by reason.
pub(crate) const DROPPED: &str = "pgq_host_spans_dropped_total";
pub(crate) const QUEUE_FULL: &str = "queue_full";
pub(crate) const RUN_LIMIT: &str = "run_limit";
pub(crate) const EXPORT_FAILED: &str = "export_failed";
pub(crate) const STOPPED: &str = "stopped";

/// The most bytes of facts that wait, as far as they vary.
const MAX_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    more: Notify,
    most: usize,
    /// So many spans are worth sending at once.
    enough: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    finished: VecDeque<Finished>,
    spans: usize,
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(most: usize, enough: usize) -> Queue {
        Queue { waiting: Mutex::default(), more: Notify::new(), most, enough }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Add the facts of a run that is over. Dropped if there is no room.
    pub(crate) fn push(&self, finished: Finished) {
        let (spans, bytes) = (finished.spans(), finished.bytes());
        let mut waiting = self.lock();
        if waiting.spans + spans > self.most || waiting.bytes + bytes > MAX_BYTES {
            drop(waiting);
            metrics::counter!(DROPPED, "reason" => QUEUE_FULL).increment(spans as u64);
            return;
        }
        let had_enough = waiting.spans >= self.enough;
        waiting.spans += spans;
        waiting.bytes += bytes;
        waiting.finished.push_back(finished);
        let has_enough = waiting.spans >= self.enough;
        drop(waiting);
        if has_enough && !had_enough {
            self.more.notify_one();
        }
    }

    /// Resolves when there is enough to send. There is one waiter, the pump.
    pub(crate) async fn enough(&self) {
        while self.lock().spans < self.enough {
            self.more.notified().await;
        }
    }

    /// Take runs of up to about `enough` spans.
    pub(crate) fn take(&self) -> Vec<Finished> {
        let mut waiting = self.lock();
        let (mut taken, mut spans) = (Vec::new(), 0);
        while spans < self.enough
            && let Some(finished) = waiting.finished.pop_front()
        {
            let (its, bytes) = (finished.spans(), finished.bytes());
            spans += its;
            waiting.spans -= its;
            waiting.bytes -= bytes;
            taken.push(finished);
        }
        taken
    }

    /// Empty it. Returns how many spans were in it.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut *self.lock()).spans
    }
}

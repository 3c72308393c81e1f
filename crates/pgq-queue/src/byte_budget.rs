//! Bytes of payloads and headers that a host holds for claimed jobs. It claims no more than it has
//! memory for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

/// A job of up to this many bytes is not counted: the number of jobs that run or are claimed ahead
/// bounds them.
pub const UNCOUNTED: u64 = 4 << 10;
/// The share of a host's memory, one part in this many, that claimed jobs take by default. A job is
/// in memory up to three times while it is handed to its guest.
const SHARE: u64 = 8;
/// One part in this many is the most that a single job may take. With its copies, a larger one
/// would exhaust the memory.
const SINGLE_SHARE: u64 = 4;

/// The budget of one host.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: u64,
    largest: u64,
    held: AtomicU64,
    /// Of it, the shares of jobs; the rest is what a claim under way may bring.
    shared: AtomicU64,
    /// A claim got nothing, because another one had reserved what is left.
    crowded: AtomicBool,
    freed: Notify,
}

/// The bytes that a claim may take. Other claims get none until it is dropped.
#[derive(Debug)]
pub struct Reservation {
    /// Bytes of all jobs together.
    pub bytes: u64,
    /// No counted job is held, so that one of any size may be taken.
    pub alone: bool,
    budget: ByteBudget,
}

/// The share of a held job, released when the job is dropped.
#[derive(Debug)]
pub struct ByteShare {
    bytes: u64,
    budget: ByteBudget,
}

impl ByteBudget {
    /// Of this many bytes, on a host with this much memory.
    pub fn new(most: u64, memory: u64) -> ByteBudget {
        let largest = most.max(memory / SINGLE_SHARE);
        let (held, shared, crowded) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        ByteBudget(Arc::new(Shared { most, largest, held, shared, crowded, freed: Notify::new() }))
    }

    /// The default: an eighth of the memory that the process may use.
    pub fn default_bytes(memory: u64) -> u64 {
        memory / SHARE
    }

    /// The largest job that this host can run.
    pub fn largest(&self) -> u64 {
        self.0.largest
    }

    /// The bytes of counted jobs, and how many there may be.
    pub fn use_of(&self) -> (u64, u64) {
        (self.0.shared.load(Ordering::Relaxed), self.0.most)
    }

    /// Take all that is left, for a claim.
    pub fn reserve(&self) -> Reservation {
        let take = |held: u64| Some(held.max(self.0.most));
        let held = self.0.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).unwrap_or(self.0.most);
        let bytes = self.0.most.saturating_sub(held);
        if bytes == 0 {
            self.0.crowded.store(true, Ordering::Release);
        }
        Reservation { bytes, alone: held == 0, budget: self.clone() }
    }

    /// The share of a claimed job; `None` for a small one.
    fn share(&self, bytes: u64) -> Option<Arc<ByteShare>> {
        (bytes > UNCOUNTED).then(|| {
            self.0.held.fetch_add(bytes, Ordering::AcqRel);
            self.0.shared.fetch_add(bytes, Ordering::Relaxed);
            Arc::new(ByteShare { bytes, budget: self.clone() })
        })
    }

    /// Resolves when a share was released since the last call. There is one waiter, the worker.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Reservation {
    /// The share of a claimed job; `None` for a small one.
    pub fn share(&self, bytes: u64) -> Option<Arc<ByteShare>> {
        self.budget.share(bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.held.fetch_sub(self.bytes, Ordering::AcqRel);
        if self.bytes > 0 && self.budget.0.crowded.swap(false, Ordering::AcqRel) {
            self.budget.0.freed.notify_one();
        }
    }
}

impl Drop for ByteShare {
    fn drop(&mut self) {
        self.budget.0.shared.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.0.held.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_missing_until_it_is_dropped() {
        let budget = ByteBudget::new(100_000, 0);
        let claim = budget.reserve();
        assert_eq!((claim.bytes, claim.alone), (100_000, true));
        let second = budget.reserve();
        assert_eq!((second.bytes, second.alone), (0, false), "one claim at a time");
        assert!(budget.share(UNCOUNTED).is_none());
        let job = budget.share(60_000);
        assert_eq!(budget.use_of(), (60_000, 100_000), "what a claim may bring is not there yet");
        drop((claim, second));
        let next = budget.reserve();
        assert_eq!((next.bytes, next.alone), (40_000, false));
        drop((next, job));
        assert_eq!(budget.reserve().bytes, 100_000);
    }

    #[test]
    fn one_job_may_be_larger_than_the_budget_and_nothing_is_left_beside_it() {
        let budget = ByteBudget::new(10_000, 0);
        let job = budget.share(50_000);
        let beside = budget.reserve();
        assert_eq!((beside.bytes, beside.alone), (0, false));
        drop((beside, job));
        assert!(budget.reserve().alone);
        assert!(budget.largest() >= 10_000);
    }
}

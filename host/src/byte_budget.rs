//! Bytes of payloads and headers that a host holds for claimed jobs: it claims no more than it has memory for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::host_memory;

/// A job of fewer bytes is not counted: there are only as many at a time as run and are claimed ahead.
pub const UNCOUNTED: u64 = 4 << 10;
/// The part of a host's memory that claimed jobs may take by default. Each is in memory up to three times while it is handed to its guest.
const SHARE: u64 = 8;
/// The part that no single payload may take: with its copies it would end the host.
const SINGLE_SHARE: u64 = 4;

/// The budget of one host.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: u64,
    largest: u64,
    held: AtomicU64,
    /// A claim found less than there is, because another was under way.
    crowded: AtomicBool,
    freed: Notify,
}

/// What a claim may take. Nobody else may until the claim is over.
#[derive(Debug)]
pub struct Reservation {
    /// Bytes of all jobs together.
    pub bytes: u64,
    /// No counted job is held: one that is larger than the whole budget may be taken.
    pub alone: bool,
    budget: ByteBudget,
}

/// A held job's part. It is given back when the job is dropped.
#[derive(Debug)]
pub struct ByteShare {
    bytes: u64,
    budget: ByteBudget,
}

impl Default for ByteBudget {
    fn default() -> ByteBudget {
        ByteBudget::new(ByteBudget::default_bytes())
    }
}

impl ByteBudget {
    /// Of so many bytes.
    pub fn new(most: u64) -> ByteBudget {
        let largest = most.max(host_memory::limit() / SINGLE_SHARE);
        let (held, crowded) = (AtomicU64::new(0), AtomicBool::new(false));
        ByteBudget(Arc::new(Shared { most, largest, held, crowded, freed: Notify::new() }))
    }

    /// An eighth of the memory that this process may use.
    pub fn default_bytes() -> u64 {
        host_memory::limit() / SHARE
    }

    /// The largest job that this host can run.
    pub fn largest(&self) -> u64 {
        self.0.largest
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

    /// For a job of so many bytes that was claimed; nothing for a small one.
    fn share(&self, bytes: u64) -> Option<Arc<ByteShare>> {
        (bytes > UNCOUNTED).then(|| {
            self.0.held.fetch_add(bytes, Ordering::AcqRel);
            Arc::new(ByteShare { bytes, budget: self.clone() })
        })
    }

    /// Resolves when a held job was let go since the last call. One waiter: the worker.
    pub async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Reservation {
    /// For a job of so many bytes that was claimed; nothing for a small one.
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
        self.budget.0.held.fetch_sub(self.bytes, Ordering::AcqRel);
        self.budget.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_missing_until_it_is_dropped() {
        let budget = ByteBudget::new(100_000);
        let claim = budget.reserve();
        assert_eq!((claim.bytes, claim.alone), (100_000, true));
        let second = budget.reserve();
        assert_eq!((second.bytes, second.alone), (0, false), "one claim at a time");
        assert!(budget.share(UNCOUNTED).is_none());
        let job = budget.share(60_000);
        drop((claim, second));
        let next = budget.reserve();
        assert_eq!((next.bytes, next.alone), (40_000, false));
        drop((next, job));
        assert_eq!(budget.reserve().bytes, 100_000);
    }

    #[test]
    fn one_job_may_be_larger_than_the_budget_and_nothing_is_left_beside_it() {
        let budget = ByteBudget::new(10_000);
        let job = budget.share(50_000);
        let beside = budget.reserve();
        assert_eq!((beside.bytes, beside.alone), (0, false));
        drop((beside, job));
        assert!(budget.reserve().alone);
        assert!(budget.largest() >= 10_000);
    }
}

//! Jobs that are under way on one version: what they may cost at most is bounded by their number.

use std::sync::Arc;

use super::{CircuitBreaker, Served};
use pgq_engine::PoolShare;

/// Claimed jobs that one call runs, until it is dropped: their part in what is tried at a time, and
/// in the pool of instances.
#[derive(Debug)]
pub struct Exposure {
    breaker: Arc<CircuitBreaker>,
    jobs: u32,
    _share: Option<PoolShare>,
}

impl Served {
    /// How many more jobs may be claimed for it now: few while it is being tried, and what there
    /// are instances for; `None` is any number.
    pub fn allowance(&self) -> Option<u32> {
        [self.breaker.allowance(), self.plugin.room()].into_iter().flatten().min()
    }

    /// These jobs were claimed for it.
    pub fn expose(&self, jobs: usize) -> Exposure {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.breaker.enter(jobs);
        Exposure { breaker: Arc::clone(&self.breaker), jobs, _share: self.plugin.take_share() }
    }
}

impl Drop for Exposure {
    fn drop(&mut self) {
        self.breaker.leave(self.jobs);
    }
}

//! Jobs in flight on one version. Bounding their number bounds the damage that a bad version can
//! do.

use std::sync::Arc;

use super::{CircuitBreaker, Served};
use pgq_engine::PoolShare;

/// The jobs of one call, until it is dropped. They count against the circuit breaker's allowance
/// and against the instance pool.
#[derive(Debug)]
pub struct Exposure {
    breaker: Arc<CircuitBreaker>,
    jobs: u32,
    _share: Option<PoolShare>,
}

impl Served {
    /// How many more jobs may be claimed for it now. The circuit breaker limits it during a trial,
    /// and the instance pool always does. `None` means any number.
    pub fn allowance(&self) -> Option<u32> {
        [self.breaker.allowance(), self.plugin.room()].into_iter().flatten().min()
    }

    /// Count these jobs as claimed for it.
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

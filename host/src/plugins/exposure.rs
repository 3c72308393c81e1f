//! Jobs that are under way on one version: what they may cost at most is bounded by their number.

use std::sync::Arc;

use super::{Health, Served};
use crate::wasm::PoolShare;

/// Claimed jobs that one call runs, until it is dropped: their part in what is tried at a time, and in the pool of instances.
#[derive(Debug)]
pub struct Exposure {
    health: Arc<Health>,
    jobs: u32,
    _share: Option<PoolShare>,
}

impl Served {
    /// How many more jobs may be claimed for it now: few while it is being tried, and what there are instances for; `None` is any number.
    pub fn allowance(&self) -> Option<u32> {
        [self.health.allowance(), self.plugin.room()].into_iter().flatten().min()
    }

    /// These jobs were claimed for it.
    pub fn expose(&self, jobs: usize) -> Exposure {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.health.enter(jobs);
        Exposure { health: Arc::clone(&self.health), jobs, _share: self.plugin.take_share() }
    }
}

impl Drop for Exposure {
    fn drop(&mut self) {
        self.health.leave(self.jobs);
    }
}

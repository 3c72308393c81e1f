//! How many jobs to claim beyond the free places.
//!
//! With long jobs none, so that another host can have them. With short jobs as many as end while
//! the next claim is under way; without them, places would be idle during the claim (Little's law:
//! jobs in flight are their rate times the time of a claim).

use std::time::{Duration, Instant};

/// Time of a claim under load, from the decision to the first run.
const CLAIM_TIME: Duration = Duration::from_millis(50);
/// The same where jobs are only locked. There is no commit in it, and what is claimed has to end
/// before the bound of its transaction.
const LOCK_TIME: Duration = Duration::from_millis(15);
/// Claims ahead: one is worked off while the next is under way. With a single one, places were idle
/// for a tenth of a drain.
const CLAIMS_AHEAD: usize = 2;
/// A rate measured over a shorter time is noise.
const MIN_SPAN: Duration = Duration::from_millis(5);
/// After this long without a measurement, the old rate says nothing.
const STALE: Duration = Duration::from_secs(1);

pub(super) struct Prefetch {
    max: usize,
    rate: f64,
    ended: u64,
    at: Instant,
}

impl Prefetch {
    /// `batch_size`: jobs in one claim at most.
    pub(super) fn new(batch_size: usize) -> Prefetch {
        Prefetch { max: CLAIMS_AHEAD * batch_size, rate: 0.0, ended: 0, at: Instant::now() }
    }

    /// Report how many jobs have ended since the start.
    pub(super) fn observe(&mut self, ended: u64) {
        self.observe_at(ended, Instant::now());
    }

    fn observe_at(&mut self, ended: u64, now: Instant) {
        let span = now.saturating_duration_since(self.at);
        if span < MIN_SPAN {
            return;
        }
        let rate = (ended - self.ended) as f64 / span.as_secs_f64();
        self.rate = if span > STALE { rate } else { (self.rate + rate) / 2.0 };
        (self.ended, self.at) = (ended, now);
    }

    /// Jobs to claim beyond the free places. `locked`: the next claim locks its jobs.
    pub(super) fn jobs(&self, locked: bool) -> usize {
        let time = if locked { LOCK_TIME } else { CLAIM_TIME };
        // Truncated: below one job per claim there is nothing to gain.
        ((self.rate * time.as_secs_f64()) as usize).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_jobs_are_not_claimed_ahead_and_fast_ones_are() {
        let mut prefetch = Prefetch::new(250);
        let start = prefetch.at;
        prefetch.observe_at(2, start + Duration::from_millis(500));
        assert_eq!(prefetch.jobs(false), 0);
        for tick in 1..20 {
            prefetch.observe_at(2 + tick * 200, start + Duration::from_millis(500 + tick * 10));
        }
        assert!(prefetch.jobs(false) > 400, "{}", prefetch.jobs(false));
        prefetch.observe_at(1_000_000, start + Duration::from_millis(800));
        assert_eq!(prefetch.jobs(false), 500);
        prefetch.observe_at(1_000_001, start + Duration::from_secs(60));
        assert_eq!(prefetch.jobs(false), 0);
    }
}

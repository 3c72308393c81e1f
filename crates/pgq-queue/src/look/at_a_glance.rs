//! The most important numbers of an overview, what hosts say of an entrypoint, and which entrypoint
//! is to be looked at first: for the page and the terminal.

use super::depths::Amount;
use super::fleet::FleetHost;
use super::overview::{EntrypointLook, Overview};

/// Of all entrypoints together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    pub due: Amount,
    pub deferred: Amount,
    pub running: Amount,
    pub held: Amount,
    /// How long the job that is due longest has waited.
    pub oldest_seconds: Option<f64>,
    /// Jobs that ended in the last five minutes.
    pub ended: i64,
    /// Those of them that failed for good.
    pub failed: i64,
}

/// What the hosts say of an entrypoint: how many of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SaidByHosts {
    pub served: usize,
    /// Its circuit breaker is open.
    pub breaker: usize,
    /// An operator paused it.
    pub held: usize,
    pub canary: usize,
}

fn add(sum: &mut Amount, one: Amount) {
    *sum = Amount { jobs: sum.jobs + one.jobs, more: sum.more | one.more };
}

impl Overview {
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for one in &self.entrypoints {
            add(&mut totals.due, one.depth.due);
            add(&mut totals.deferred, one.depth.deferred);
            add(&mut totals.running, one.depth.running);
            add(&mut totals.held, one.depth.held);
            let oldest = totals.oldest_seconds.into_iter().chain(one.depth.oldest_seconds);
            totals.oldest_seconds = oldest.reduce(f64::max);
            totals.ended += one.lately.five_minutes.ended();
            totals.failed += one.failed_lately();
        }
        totals
    }
}

impl EntrypointLook {
    /// Jobs that failed for good in the last five minutes.
    pub fn failed_lately(&self) -> i64 {
        self.lately.five_minutes.failed + self.lately.five_minutes.exception
    }

    /// What should be looked at first has most.
    pub fn trouble(&self) -> (i64, i64, i64) {
        #[expect(clippy::cast_possible_truncation, reason = "an order")]
        let waits = self.depth.oldest_seconds.unwrap_or_default() as i64 / 10;
        (self.depth.held.jobs + self.failed_lately(), waits, self.lately.hour.ended())
    }
}

impl SaidByHosts {
    pub fn of(hosts: &[FleetHost], entrypoint: &str) -> SaidByHosts {
        let mut said = SaidByHosts::default();
        let has = |names: &[String]| names.iter().any(|name| name == entrypoint);
        for file in hosts.iter().flat_map(|host| &host.plugins).filter(|file| has(&file.entrypoints)) {
            said.served += 1;
            said.breaker += usize::from(has(&file.paused));
            said.held += usize::from(has(&file.held));
            said.canary += usize::from(file.canary.is_some());
        }
        said
    }
}

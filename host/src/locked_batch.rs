//! The jobs of one claim whose rows are only locked, from the claim to the end of its transaction.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use pgq_job::Claim;
use pgq_queue::Record;

/// No row stays locked for longer while its job runs: other claims step over it, and vacuum cannot
/// clean up behind it.
const BOUND: Duration = Duration::from_millis(50);

/// How long the rows of running jobs stay locked at most.
///
/// For tests of what becomes of locked rows, `PGQ_HOST_TEST_BOUND_MS` is another bound. Builds for
/// use do not have it.
pub fn bound() -> Duration {
    static OTHER: LazyLock<Option<Duration>> =
        LazyLock::new(|| std::env::var("PGQ_HOST_TEST_BOUND_MS").ok()?.parse().ok().map(Duration::from_millis));
    if cfg!(debug_assertions) { OTHER.unwrap_or(BOUND) } else { BOUND }
}

/// Collects outcomes until the transaction is settled.
#[derive(Debug)]
pub struct LockedBatch {
    state: Mutex<State>,
    all_ended: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    running: HashSet<Claim>,
    ended: Vec<Record>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Outcomes are written in the transaction.
    Open,
    /// The transaction is being ended. Outcomes that come now have to wait for it.
    Settling,
    /// Outcomes go to the recorder.
    Settled,
}

impl LockedBatch {
    pub fn new(jobs: impl IntoIterator<Item = Claim>) -> LockedBatch {
        let running: HashSet<Claim> = jobs.into_iter().collect();
        let ended = Vec::with_capacity(running.len());
        LockedBatch { state: Mutex::new(State { phase: Phase::Open, running, ended }), all_ended: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take the outcome of one of its jobs. Returns it where it is too late, for the recorder.
    pub fn end(&self, record: Record) -> Option<Record> {
        let mut state = self.lock();
        if state.phase == Phase::Settled {
            return Some(record);
        }
        state.running.remove(&record.claim);
        state.ended.push(record);
        if state.running.is_empty() && state.phase == Phase::Open {
            self.all_ended.notify_one();
        }
        None
    }

    /// A job is over, and there is nothing to record.
    pub fn drop_out(&self, claim: Claim) {
        let mut state = self.lock();
        state.running.remove(&claim);
        if state.running.is_empty() && state.phase == Phase::Open {
            self.all_ended.notify_one();
        }
    }

    /// Resolves when none of its jobs runs. There is one waiter, the settler.
    pub async fn all_ended(&self) {
        while !self.lock().running.is_empty() {
            self.all_ended.notified().await;
        }
    }

    /// End the collecting: what has ended, and what still runs.
    pub fn settle(&self) -> (Vec<Record>, Vec<Claim>) {
        let mut state = self.lock();
        state.phase = Phase::Settling;
        (std::mem::take(&mut state.ended), state.running.iter().copied().collect())
    }

    /// The transaction is over. Returns what has ended meanwhile.
    pub fn settled(&self) -> Vec<Record> {
        let mut state = self.lock();
        state.phase = Phase::Settled;
        std::mem::take(&mut state.ended)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use pgq_job::{Disposition, Terminal};

    fn claim(id: i64) -> Claim {
        Claim { id, at: chrono::DateTime::UNIX_EPOCH }
    }

    fn record(id: i64) -> Record {
        let disposition = Disposition::Finished {
            status: Terminal::Successful,
            traceback: None,
            output: None,
            follow_ups: Vec::new(),
        };
        Record::new(claim(id), disposition)
    }

    #[test]
    fn an_outcome_goes_where_its_row_is() {
        let batch = LockedBatch::new([1, 2, 3].map(claim));
        assert!(batch.end(record(1)).is_none());
        assert!(batch.all_ended().now_or_never().is_none());
        let (ended, mut running) = batch.settle();
        running.sort_by_key(|claim| claim.id);
        assert_eq!((ended.len(), running), (1, vec![claim(2), claim(3)]));
        assert!(batch.end(record(2)).is_none(), "kept until the transaction is over");
        assert_eq!(batch.settled().len(), 1);
        assert_eq!(batch.end(record(3)).expect("the recorder's").claim, claim(3));
    }

    #[test]
    fn it_is_over_when_its_last_job_is() {
        let batch = LockedBatch::new([1, 2].map(claim));
        assert!(batch.end(record(1)).is_none());
        batch.drop_out(claim(2));
        assert!(batch.all_ended().now_or_never().is_some());
    }
}

//! Where suspects run: a few at a time, or alone. One of them may be the job that ends its workers,
//! and the fewer begin together, the fewer are suspected the next time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use pgq_job::{Job, Suspicion};

/// Suspects that begin at once.
const FEW: u32 = 8;
/// A suspect that has run for this long makes room for others. One that runs alone gets more time
/// after each lost worker, and in the end all the time that it takes.
const BRIEF: Duration = Duration::from_secs(10);
const LONGER: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Lane {
    places: Arc<Semaphore>,
    /// Suspects that run alone.
    alone: watch::Sender<usize>,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { places: Arc::new(Semaphore::new(FEW as usize)), alone: watch::Sender::new(0) }
    }
}

/// While it is kept, only suspects begin on this host.
#[derive(Debug)]
pub(super) struct Quiet(Arc<Lane>);

impl Drop for Quiet {
    fn drop(&mut self) {
        self.0.alone.send_modify(|jobs| *jobs -= 1);
    }
}

impl Lane {
    /// Whether jobs that are no suspects may begin.
    pub(super) fn is_open(&self) -> bool {
        *self.alone.borrow() == 0
    }

    /// Resolves when they may.
    pub(super) async fn open(&self) {
        // The sender is ours.
        let _ = self.alone.subscribe().wait_for(|jobs| *jobs == 0).await;
    }

    /// What this suspect needs around it, from now on.
    pub(super) fn quiet(self: &Arc<Self>, suspicion: Suspicion) -> Option<Quiet> {
        matches!(suspicion, Suspicion::Alone { .. }).then(|| {
            self.alone.send_modify(|jobs| *jobs += 1);
            Quiet(Arc::clone(self))
        })
    }

    /// A place among the few, or all places. First come, first served. Never `None`: the semaphore
    /// is not closed.
    pub(super) async fn place(&self, suspicion: Suspicion) -> Option<OwnedSemaphorePermit> {
        let places = match suspicion {
            Suspicion::Few => 1,
            Suspicion::Alone { .. } => FEW,
        };
        Arc::clone(&self.places).acquire_many_owned(places).await.ok()
    }
}

/// How long a suspect keeps its place; `None`: as long as it runs.
pub(super) fn stay(suspicion: Suspicion) -> Option<Duration> {
    match suspicion {
        Suspicion::Few | Suspicion::Alone { crashes: 0 } => Some(BRIEF),
        Suspicion::Alone { crashes: 1 } => Some(LONGER),
        Suspicion::Alone { .. } => None,
    }
}

/// The suspects among these jobs, in the order in which they begin. Those that run alone come
/// first, since all others wait for them; among these, the ones that lost the fewest workers, or an
/// innocent job could be the first to begin time after time.
pub(super) fn part(jobs: Vec<Job>) -> (Vec<(Job, Suspicion)>, Vec<Job>) {
    if jobs.iter().all(|job| job.suspicion.is_none()) {
        return (Vec::new(), jobs);
    }
    let (mut suspects, mut others) = (Vec::new(), Vec::new());
    for job in jobs {
        match job.suspicion {
            Some(suspicion) => suspects.push((job, suspicion)),
            None => others.push(job),
        }
    }
    suspects.sort_by_key(|(_, suspicion)| match suspicion {
        Suspicion::Alone { crashes } => *crashes,
        Suspicion::Few => u32::MAX,
    });
    (suspects, others)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const ALONE: Suspicion = Suspicion::Alone { crashes: 0 };

    #[test]
    fn nothing_begins_beside_a_job_that_is_to_be_alone() {
        let lane = Arc::new(Lane::default());
        assert!(lane.is_open());
        let few: Vec<_> =
            (0..FEW).map(|_| lane.place(Suspicion::Few).now_or_never().flatten().expect("room")).collect();
        assert!(lane.place(Suspicion::Few).now_or_never().is_none());
        let quiet = lane.quiet(ALONE).expect("it needs it");
        assert!(lane.quiet(Suspicion::Few).is_none());
        assert!(!lane.is_open() && lane.open().now_or_never().is_none() && lane.place(ALONE).now_or_never().is_none());
        drop(few);
        let place = lane.place(ALONE).now_or_never().flatten().expect("room");
        assert!(lane.place(Suspicion::Few).now_or_never().is_none());
        drop((place, quiet));
        assert!(lane.is_open() && lane.open().now_or_never().is_some());
    }
}

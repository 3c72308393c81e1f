//! Jobs with a limit that follow one another in their slots: the outcome of one and the claim of the next are one statement.
//!
//! The jobs that come next go to the worker by a channel. The recorder cannot start them itself: whoever starts jobs sends it their
//! outcomes, and it would keep its own channel open.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::capacity::Capacity;
use crate::lease::Leases;
use crate::meter;
use crate::plugins::PluginSet;
use pgq_job::{Job, JobId};
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::{ConcurrencyLimit, Queue, Record};

/// Entrypoints whose slots are handed over in one go: each is a statement, and the outcomes that come next wait for all of them.
const MOST: usize = 8;
/// A statement that takes longer keeps other outcomes waiting, and for so many times as long claims are left to the claim loop.
const LONG: Duration = Duration::from_millis(50);
const SHARE: u32 = 20;

/// Claims whose jobs may wait to be started.
pub const NEXT: usize = MOST;

/// Jobs that were claimed with the outcomes of those before them, and are to be started.
pub struct NextJobs {
    /// Them, in the order in which they are to run.
    pub jobs: Vec<Job>,
    /// What they were claimed for.
    pub plugins: Arc<PluginSet>,
    /// When the statement that claimed them was sent.
    pub asked: BootInstant,
}

/// The recorder's way to the jobs that come next.
pub struct SlotHandover {
    plugins: watch::Receiver<Arc<PluginSet>>,
    capacity: Arc<Capacity>,
    next: mpsc::Sender<NextJobs>,
    stop: CancellationToken,
    rest: Option<Instant>,
}

/// Outcomes of one entrypoint that give their slots to its next jobs.
pub(super) struct Passing {
    pub(super) limited: ConcurrencyLimit,
    pub(super) records: Vec<Record>,
    plugins: Arc<PluginSet>,
}

impl SlotHandover {
    /// Jobs are claimed for what is served, as far as there are places, until `stop`, and sent to whoever starts them.
    pub fn new(
        plugins: watch::Receiver<Arc<PluginSet>>,
        capacity: Arc<Capacity>,
        next: mpsc::Sender<NextJobs>,
        stop: CancellationToken,
    ) -> SlotHandover {
        SlotHandover { plugins, capacity, next, stop, rest: None }
    }

    /// Take those out of these outcomes whose slots this host would fill again at once, as far as it has places.
    pub(super) fn take(&self, batch: &mut Vec<Record>) -> Vec<Passing> {
        let rests = self.rest.is_some_and(|until| Instant::now() < until);
        if rests || self.stop.is_cancelled() || batch.iter().all(|record| record.limited.is_none()) {
            return Vec::new();
        }
        let plugins = Arc::clone(&self.plugins.borrow());
        let mut places = self.capacity.free();
        let mut passing: HashMap<Arc<str>, Passing> = HashMap::new();
        for record in std::mem::take(batch) {
            match limit(&record, &plugins).filter(|_| places > 0).cloned() {
                Some(limited) if passing.len() < MOST || passing.contains_key(&limited.entrypoint) => {
                    places -= 1;
                    let entry = passing.entry(Arc::clone(&limited.entrypoint));
                    let group = || Passing { limited, records: Vec::new(), plugins: Arc::clone(&plugins) };
                    entry.or_insert_with(group).records.push(record);
                }
                _ => batch.push(record),
            }
        }
        passing.into_values().collect()
    }

    /// Record the outcomes and send the jobs that come next; returns which jobs were still ours. On an error nothing was recorded, and on
    /// `None` neither: whoever starts jobs has stopped.
    pub(super) async fn pass_on(&mut self, queue: &Queue, leases: &Leases, passing: &Passing) -> sqlx::Result<Option<Vec<JobId>>> {
        let Passing { limited, records, plugins } = passing;
        // Before the claim: what it brings is received then, however late in a stop.
        let Ok(next) = self.next.reserve().await else { return Ok(None) };
        let asked = BootInstant::now();
        let handed = meter::hand_over(records.len(), queue.hand_over(limited, records)).await;
        let took = asked.elapsed();
        self.rest = (took > LONG).then(|| Instant::now() + took * SHARE);
        let handed = handed?;
        // Not only from their start: this host must never look as if it held nothing.
        for job in &handed.next {
            leases.hold(job.claim, asked);
        }
        next.send(NextJobs { jobs: handed.next, plugins: Arc::clone(plugins), asked });
        Ok(Some(handed.ours))
    }
}

/// The limit under which the slot of this job can be another's.
fn limit<'r>(record: &'r Record, plugins: &PluginSet) -> Option<&'r ConcurrencyLimit> {
    let limited = record.limited.as_ref().filter(|_| record.is_final())?;
    let served = plugins.get_claimable(&limited.entrypoint)?;
    // What is held back is claimed by the number that may run; a limit that was changed meanwhile is the claim loop's to keep.
    (served.allowance().is_none() && served.options.concurrency == Some(limited.concurrency)).then_some(limited)
}

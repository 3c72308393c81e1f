//! Handing slots over: the outcome of a job with a limit and the claim of the next job are one
//! statement.
//!
//! The next jobs go to the worker by a channel. The recorder cannot start them itself: the executor
//! sends its outcomes to the recorder, which would keep its own channel open.

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

/// Entrypoints whose slots are handed over per batch. Each is a statement, and later outcomes wait
/// for all of them.
const MOST: usize = 8;
/// A statement that takes longer makes other outcomes wait. After one that took T, the claim loop
/// alone claims for 20 T.
const LONG: Duration = Duration::from_millis(50);
const SHARE: u32 = 20;

/// Handovers whose jobs may wait to be started.
pub const NEXT: usize = MOST;

/// Jobs that a handover claimed and that are to be started.
pub struct NextJobs {
    /// In the order in which they are to run.
    pub jobs: Vec<Job>,
    /// The snapshot of plugins that they were claimed for.
    pub plugins: Arc<PluginSet>,
    /// When the statement that claimed them was sent.
    pub asked: BootInstant,
}

/// Decides which outcomes hand their slots over, and does it.
pub struct SlotHandover {
    plugins: watch::Receiver<Arc<PluginSet>>,
    capacity: Arc<Capacity>,
    next: mpsc::Sender<NextJobs>,
    stop: CancellationToken,
    rest: Option<Instant>,
}

/// Outcomes of one entrypoint that hand their slots to its next jobs.
pub(super) struct Passing {
    pub(super) limited: ConcurrencyLimit,
    pub(super) records: Vec<Record>,
    plugins: Arc<PluginSet>,
}

impl SlotHandover {
    /// Until `stop`, claim jobs of entrypoints that are served, as far as there are places, and
    /// send them to `next`.
    pub fn new(
        plugins: watch::Receiver<Arc<PluginSet>>,
        capacity: Arc<Capacity>,
        next: mpsc::Sender<NextJobs>,
        stop: CancellationToken,
    ) -> SlotHandover {
        SlotHandover { plugins, capacity, next, stop, rest: None }
    }

    /// Take the outcomes out of the batch whose slots this host would fill again at once, as far as
    /// it has places.
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

    /// Record the outcomes and send the next jobs. Returns the recorded jobs that were still ours.
    /// After an error nothing is recorded, nor after `None`, when the worker has stopped.
    pub(super) async fn pass_on(
        &mut self,
        queue: &Queue,
        leases: &Leases,
        passing: &Passing,
    ) -> sqlx::Result<Option<Vec<JobId>>> {
        let Passing { limited, records, plugins } = passing;
        // Before the claim, so that its jobs are received however late in a stop.
        let Ok(next) = self.next.reserve().await else { return Ok(None) };
        let asked = BootInstant::now();
        let handed = meter::hand_over(records.len(), queue.hand_over(limited, records)).await;
        let took = asked.elapsed();
        self.rest = (took > LONG).then(|| Instant::now() + took * SHARE);
        let handed = handed?;
        // From now on and not only from their start: this host must never look as if it held
        // nothing.
        for job in &handed.next {
            leases.hold(job.claim, asked);
        }
        next.send(NextJobs { jobs: handed.next, plugins: Arc::clone(plugins), asked });
        Ok(Some(handed.ours))
    }
}

/// The limit under which the next job can have the slot of this one.
fn limit<'r>(record: &'r Record, plugins: &PluginSet) -> Option<&'r ConcurrencyLimit> {
    let limited = record.limited.as_ref().filter(|_| record.is_final())?;
    let served = plugins.get_claimable(&limited.entrypoint)?;
    // Entrypoints on trial are claimed by the number that may run. A limit that changed meanwhile
    // is left to the claim loop.
    (served.allowance().is_none() && served.options.concurrency == Some(limited.concurrency)).then_some(limited)
}

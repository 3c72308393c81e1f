//! Jobs with a limit that follow one another in their seats: the outcome of one and the claim of the next are one statement.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::boot_clock::BootInstant;
use crate::executor::{Executor, WeakExecutor};
use crate::job::JobId;
use crate::meter;
use crate::plugins::PluginSet;
use crate::queue::{Limited, Queue, Record};

/// Entrypoints whose seats are passed on in one go: each is a statement, and the outcomes that come next wait for all of them.
const MOST: usize = 8;
/// A statement that takes longer keeps other outcomes waiting, and for so many times as long claims are left to the claim loop.
const LONG: Duration = Duration::from_millis(50);
const SHARE: u32 = 20;

/// The recorder's way to the jobs that come next.
pub struct Relay {
    plugins: watch::Receiver<Arc<PluginSet>>,
    executor: WeakExecutor,
    stop: CancellationToken,
    rest: Option<Instant>,
}

/// Outcomes of one entrypoint that give their seats to its next jobs.
pub struct Passing {
    /// The entrypoint.
    pub limited: Limited,
    /// The outcomes.
    pub records: Vec<Record>,
    plugins: Arc<PluginSet>,
    executor: Executor,
}

impl Relay {
    /// Jobs are claimed for what is served, and until `stop`.
    pub fn new(plugins: watch::Receiver<Arc<PluginSet>>, executor: WeakExecutor, stop: CancellationToken) -> Relay {
        Relay { plugins, executor, stop, rest: None }
    }

    /// Take those out of these outcomes whose seats this host would fill again at once, as far as it has places.
    pub fn take(&self, batch: &mut Vec<Record>) -> Vec<Passing> {
        let rests = self.rest.is_some_and(|until| Instant::now() < until);
        if rests || self.stop.is_cancelled() || batch.iter().all(|record| record.limited.is_none()) {
            return Vec::new();
        }
        let Some(executor) = self.executor.upgrade() else { return Vec::new() };
        let plugins = Arc::clone(&self.plugins.borrow());
        let mut places = executor.max_running().saturating_sub(executor.active());
        let mut passing: HashMap<Arc<str>, Passing> = HashMap::new();
        for record in std::mem::take(batch) {
            match limit(&record, &plugins).filter(|_| places > 0) {
                Some(limited) if passing.len() < MOST || passing.contains_key(&limited.entrypoint) => {
                    places -= 1;
                    let (plugins, executor) = (Arc::clone(&plugins), executor.clone());
                    let entry = passing.entry(Arc::clone(&limited.entrypoint));
                    entry.or_insert_with(|| Passing { limited, records: Vec::new(), plugins, executor }).records.push(record);
                }
                _ => batch.push(record),
            }
        }
        passing.into_values().collect()
    }

    /// Record the outcomes and start the jobs that come next; returns which jobs were still ours. On an error nothing was recorded.
    pub async fn pass_on(&mut self, queue: &Queue, passing: &Passing) -> sqlx::Result<Vec<JobId>> {
        let Passing { limited, records, plugins, executor } = passing;
        let asked = BootInstant::now();
        let handed = meter::hand_over(records.len(), queue.hand_over(limited, records)).await;
        let took = asked.elapsed();
        self.rest = (took > LONG).then(|| Instant::now() + took * SHARE);
        let handed = handed?;
        executor.start(handed.next, plugins, asked);
        Ok(handed.ours)
    }
}

/// The limit under which the seat of this job can be another's.
fn limit(record: &Record, plugins: &PluginSet) -> Option<Limited> {
    let served = plugins.get_claimable(record.limited.as_deref().filter(|_| record.is_final())?)?;
    // What is held back is claimed by the number that may run.
    if served.allowance().is_some() {
        return None;
    }
    served.options.concurrency.map(|concurrency| Limited { entrypoint: Arc::clone(&served.entrypoint), concurrency })
}

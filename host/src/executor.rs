//! Runs claimed jobs, from the claim to the record of the outcome.

mod batch_run;
mod batches;
mod bodies;
mod committing;
mod conclusion;
mod guest_call;
mod lane;
mod opening;
mod sealed_outcome;
mod shared;
mod start;
mod suspects;
mod traced;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::capacity::Capacity;
use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::sealing::Keyring;
use pgq_engine::Engine;
use pgq_engine::guests::Guests;
use pgq_job::Job;
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::{Queue, Record};
use pgq_sql::Sessions;
use pgq_trace::Tracer;
use shared::Shared;

/// Runs jobs on the guest runtime, a bounded number at a time, and sends their outcomes to the
/// recorder.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

impl Executor {
    /// To be called on the control runtime, which sends the statements. Guests run on `guests`, as
    /// many calls at a time as `capacity` says.
    pub fn new(
        engine: Engine,
        guests: Guests,
        queue: Queue,
        capacity: Arc<Capacity>,
        leases: Arc<Leases>,
        records: mpsc::Sender<Record>,
        sql: Sessions,
    ) -> Self {
        Executor {
            shared: Arc::new(Shared {
                engine,
                guests,
                queue,
                control: Handle::current(),
                lane: Arc::default(),
                closed: CancellationToken::new(),
                reading: Semaphore::new(1),
                running: Semaphore::new(capacity.max()),
                capacity,
                leases,
                records,
                sql,
                tracer: None,
                keyring: Keyring::default(),
                served: None,
                ended: AtomicU64::new(0),
            }),
        }
    }

    /// The same, with traces of its jobs. To be called before it is cloned.
    pub fn traced_by(mut self, tracer: Option<Tracer>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.tracer = tracer;
        }
        self
    }

    /// The same, with keys of payloads, and whose payloads must be sealed by what is served. To be called before it is
    /// cloned.
    pub fn opening_with(mut self, keyring: Keyring, served: watch::Receiver<Arc<PluginSet>>) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            (shared.keyring, shared.served) = (keyring, Some(served));
        }
        self
    }

    /// Jobs that have ended since the start.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Start no more jobs. Those that wait for a place are released.
    pub fn close(&self) {
        self.shared.closed.cancel();
        self.shared.running.close();
        self.shared.reading.close();
    }

    /// Whether jobs that are claimed now can begin. They cannot while a suspect runs alone.
    pub fn is_open(&self) -> bool {
        self.shared.lane.is_open()
    }

    /// Run jobs that were claimed by a statement sent at `asked`, with these plugins; in batches
    /// where an entrypoint takes them.
    pub fn start(&self, jobs: Vec<Job>, plugins: &PluginSet, asked: BootInstant) {
        let claimed = self.shared.claimed(asked, jobs.len());
        let (jobs, unread): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.unread.is_none());
        if !unread.is_empty() {
            self.shared.read(unread, plugins, asked, claimed);
        }
        self.shared.start_read(jobs, plugins, asked, claimed);
    }
}

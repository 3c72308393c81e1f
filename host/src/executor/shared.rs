//! What all runs of a host share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use crate::capacity::Capacity;
use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::sealing::Keyring;
use pgq_engine::guests::Guests;
use pgq_engine::{AssignedJob, Engine};
use pgq_job::Job;
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::{Queue, Record};
use pgq_sql::Sessions;
use pgq_trace::{Claimed, Tracer};

pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) guests: Guests,
    pub(super) queue: Queue,
    /// Runs statements: connections live on these threads, not on those of guests.
    pub(super) control: Handle,
    pub(super) lane: Arc<Lane>,
    pub(super) closed: CancellationToken,
    /// Large payloads are read one at a time, because each takes a connection and is in memory
    /// twice for a moment.
    pub(super) reading: Semaphore,
    pub(super) running: Semaphore,
    pub(super) capacity: Arc<Capacity>,
    pub(super) leases: Arc<Leases>,
    pub(super) records: mpsc::Sender<Record>,
    /// Sessions of handlers.
    pub(super) sql: Sessions,
    /// Begins traces, if there are to be any.
    pub(super) tracer: Option<Tracer>,
    /// Opens payloads, and seals outcomes.
    pub(super) keyring: Keyring,
    /// What is served now.
    pub(super) served: Option<watch::Receiver<Arc<PluginSet>>>,
    pub(super) ended: AtomicU64,
}

impl Shared {
    /// Hold the lease of this job, which was claimed by a statement sent at `asked`.
    pub(super) fn assign(&self, job: Job, asked: BootInstant, claimed: Option<Claimed>) -> AssignedJob {
        let (control, trace) = (self.leases.hold(job.claim, asked), self.begin_trace(&job, claimed));
        AssignedJob { control, trace, job: Arc::new(job) }
    }
}

//! One job, from claim to recorded outcome. Holds no loop.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, mpsc};
use uuid::Uuid;

use crate::guests::Guests;
use crate::job::{Fault, Job, Verdict};
use crate::lease::Leases;
use crate::plugins::Served;
use crate::queue::{Disposition, Record};
use crate::verdict;
use crate::wasm::{self, Control, Engine, RunLimits};

/// Runs jobs on the guest runtime, so many at a time, and hands their outcomes to the recorder.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    guests: Guests,
    me: Uuid,
    running: Semaphore,
    max_running: usize,
    leases: Arc<Leases>,
    records: mpsc::Sender<Record>,
    active: AtomicUsize,
    ended: AtomicU64,
    freed: Notify,
}

impl Executor {
    /// At most `max_running` jobs run at a time, all on `guests`.
    pub fn new(engine: Engine, guests: Guests, me: Uuid, max_running: usize, leases: Arc<Leases>, records: mpsc::Sender<Record>) -> Self {
        Executor {
            shared: Arc::new(Shared {
                engine,
                guests,
                me,
                running: Semaphore::new(max_running),
                max_running,
                leases,
                records,
                active: AtomicUsize::new(0),
                ended: AtomicU64::new(0),
                freed: Notify::new(),
            }),
        }
    }

    /// Jobs that were started and whose outcome was not handed over yet, those that wait for a place included.
    pub fn active(&self) -> usize {
        self.shared.active.load(Ordering::Acquire)
    }

    /// Jobs that ended since the start.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Jobs that run at a time.
    pub fn max_running(&self) -> usize {
        self.shared.max_running
    }

    /// Resolves when a job ended since the last call.
    pub async fn freed(&self) {
        self.shared.freed.notified().await;
    }

    /// Jobs that wait for a place give it up and are released; no other starts.
    pub fn close(&self) {
        self.shared.running.close();
    }

    /// Run a claimed job.
    pub fn start(&self, job: Job, served: &Served) {
        let shared = Arc::clone(&self.shared);
        let served = served.clone();
        let control = shared.leases.hold(job.claim);
        shared.active.fetch_add(1, Ordering::AcqRel);
        self.shared.guests.handle().spawn(async move {
            let record = shared.run(job, &served, control).await;
            // Sending waits while the recorder is behind: a database that does not keep up slows the claims down, nothing piles up.
            if let Some(record) = record
                && shared.records.send(record).await.is_err()
            {
                tracing::error!("an outcome came after the recorder had stopped; the job runs again when its lease is over");
            }
            shared.ended.fetch_add(1, Ordering::Relaxed);
            shared.active.fetch_sub(1, Ordering::AcqRel);
            shared.freed.notify_one();
        });
    }
}

impl Shared {
    /// `None` where the job is not ours any more.
    async fn run(&self, job: Job, served: &Served, control: Arc<Control>) -> Option<Record> {
        let (id, claim, attempt) = (job.id, job.claim, job.attempt());
        let verdict = match self.running.acquire().await {
            Ok(_place) => self.run_guest(job, served, Arc::clone(&control)).await,
            Err(_closed) => Verdict::Release("the host stopped"),
        };
        if control.is_lease_lost() {
            tracing::warn!(job.id = id, job.entrypoint = %served.entrypoint, "another worker has taken the job over; this run is not recorded");
            self.leases.release([claim]);
            return None;
        }
        // Whatever the guest made of it: somebody said that this job is over. (PgQueuer 1.6 has deleted the row by then, and there is
        // nothing left to write; 2.0 leaves it to us.)
        let verdict = if control.is_cancelled() { Verdict::Discard("cancelled while it ran".into()) } else { verdict };
        let disposition = verdict::decide(verdict, &verdict::Case { id, attempt, me: self.me, served }, fastrand::f64());
        log_end(id, served, &disposition);
        Some(Record { claim, disposition })
    }

    async fn run_guest(&self, job: Job, served: &Served, control: Arc<Control>) -> Verdict {
        let options = &served.options;
        let limits = RunLimits { timeout: options.timeout, memory: options.memory, max_attempts: options.max_attempts };
        let id = job.id;
        let (engine, plugin) = (self.engine.clone(), Arc::clone(&served.plugin));
        let run = async move { AssertUnwindSafe(wasm::run(&engine, &plugin, job, limits, control)).catch_unwind().await };
        let Some(ran) = self.guests.run(run).await else {
            return Verdict::Release("the host stopped");
        };
        match ran {
            Ok(ran) => {
                tracing::debug!(job.id = id, job.entrypoint = %served.entrypoint, elapsed_us = ran.elapsed.as_micros(), memory_bytes = ran.memory, "run ended");
                ran.verdict
            }
            // The hook has logged where. One job's fault, whatever it was.
            Err(_panic) => Verdict::Retry { fault: Fault::new("HostPanic", "the host panicked while it served this run"), after: None },
        }
    }
}

fn log_end(id: i64, served: &Served, disposition: &Disposition) {
    let (entrypoint, plugin) = (&*served.entrypoint, &*served.plugin.name);
    match disposition {
        Disposition::Finished { traceback: None, .. } => tracing::debug!(job.id = id, job.entrypoint = entrypoint, plugin, "done"),
        Disposition::Finished { status, traceback: Some(traceback), .. } => {
            tracing::info!(job.id = id, job.entrypoint = entrypoint, plugin, status = ?status, cause = %traceback["exception_message"], "ended");
        }
        Disposition::Again { delay, counts: true, traceback } => {
            let cause = traceback.as_ref().map(|traceback| traceback["exception_message"].to_string()).unwrap_or_default();
            tracing::info!(job.id = id, job.entrypoint = entrypoint, plugin, delay_ms = delay.as_millis(), cause, "failed, runs again");
        }
        Disposition::Again { delay, .. } => {
            tracing::debug!(job.id = id, job.entrypoint = entrypoint, plugin, delay_ms = delay.as_millis(), "queued again")
        }
        Disposition::Held { traceback } => {
            tracing::warn!(job.id = id, job.entrypoint = entrypoint, plugin, cause = %traceback["exception_message"], "failed for good, held");
        }
    }
}

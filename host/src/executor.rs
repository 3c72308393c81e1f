//! Claimed jobs, from claim to recorded outcome. Holds no loop.

mod batches;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Notify, Semaphore, mpsc};
use uuid::Uuid;

use crate::guests::Guests;
use crate::job::{Fault, Job, Verdict};
use crate::lease::Leases;
use crate::meter;
use crate::plugins::{PluginSet, Served};
use crate::queue::{Attempt, Disposition, Record};
use crate::verdict;
use crate::wasm::{self, Engine, Held, Ran, RunLimits, Terms};
use batches::{batches, chunks};

/// Runs jobs on the guest runtime, so many at a time, and hands their outcomes to the recorder.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// An executor as the recorder may know it: one that does not keep the channel of outcomes open.
pub struct WeakExecutor {
    shared: Weak<Shared>,
}

impl WeakExecutor {
    /// The executor, while the host has not ended.
    pub fn upgrade(&self) -> Option<Executor> {
        self.shared.upgrade().map(|shared| Executor { shared })
    }
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
    /// At most `max_running` calls run at a time, all on `guests`.
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

    /// Calls that were started and whose outcomes were not handed over yet, those that wait for a place included.
    pub fn active(&self) -> usize {
        self.shared.active.load(Ordering::Acquire)
    }

    /// Jobs that ended since the start.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Calls that run at a time.
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

    /// The same executor, for the recorder.
    pub fn downgrade(&self) -> WeakExecutor {
        WeakExecutor { shared: Arc::downgrade(&self.shared) }
    }

    /// Run claimed jobs on what is served, in batches where an entrypoint takes them.
    pub fn start(&self, jobs: Vec<Job>, plugins: &PluginSet) {
        let batch = |served: &Served| served.options.batch.unwrap_or(1) as usize;
        for jobs in batches(jobs, |entrypoint| plugins.get(entrypoint).map_or(1, batch)) {
            let entrypoint = Arc::clone(&jobs[0].entrypoint);
            match plugins.pick(&entrypoint, fastrand::f64()) {
                // A canary may take smaller batches than the version that it is to replace.
                Some(served) => chunks(jobs, batch(served)).for_each(|jobs| self.call(jobs, served)),
                None => tracing::error!(%entrypoint, jobs = jobs.len(), "claimed jobs that nobody asked for"),
            }
        }
    }

    /// In one call.
    fn call(&self, jobs: Vec<Job>, served: &Served) {
        served.meter.start(&jobs);
        let hold = |job: Job| Held { control: self.shared.leases.hold(job.claim), job: Arc::new(job) };
        Shared::spawn(&self.shared, jobs.into_iter().map(hold).collect(), served.clone());
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, jobs: Vec<Held>, served: Served) {
        let shared = Arc::clone(self);
        self.active.fetch_add(1, Ordering::AcqRel);
        self.guests.handle().spawn(async move {
            shared.run(jobs, &served).await;
            shared.active.fetch_sub(1, Ordering::AcqRel);
            shared.freed.notify_one();
        });
    }

    async fn run(self: &Arc<Self>, jobs: Vec<Held>, served: &Served) {
        let ran = match self.running.acquire().await {
            Ok(_place) => self.call(&jobs, served).await,
            Err(_closed) => Ran::nothing(Verdict::Release("the host stopped"), jobs.len(), false),
        };
        // One bad job must not cost the others an attempt, and nobody can tell which it was: each shows it alone.
        let alone = ran.crashed && jobs.len() > 1;
        for (held, verdict) in jobs.into_iter().zip(ran.verdicts) {
            if alone && !held.control.is_over() {
                self.spawn(vec![held], served.clone());
            } else {
                let cost = Cost { elapsed: ran.elapsed, memory: ran.memory, crashed: ran.crashed };
                self.conclude(&held, served, verdict, &cost).await;
            }
        }
    }

    /// One call of the guest, wherever it computes, and whatever becomes of it.
    async fn call(&self, jobs: &[Held], served: &Served) -> Ran {
        let options = &served.options;
        let terms = Terms {
            plugin: Arc::clone(&served.plugin),
            entrypoint: Arc::clone(&served.entrypoint),
            limits: RunLimits { timeout: options.timeout, memory: options.memory, max_attempts: options.max_attempts },
            reuse: options.reuse,
            batched: options.batch.is_some(),
        };
        let (engine, held, count) = (self.engine.clone(), jobs.to_vec(), jobs.len());
        let run = async move { AssertUnwindSafe(wasm::run(&engine, &terms, &held)).catch_unwind().await };
        let long = served.pace.is_long();
        tracing::debug!(job.entrypoint = %served.entrypoint, long, "run begins");
        let ended = self.guests.run(long, run).await;
        if let Some((_, long)) = ended {
            served.pace.observe(long);
        }
        let ran = match ended {
            Some((Ok(ran), _)) => ran,
            // The hook has logged where. This call's fault, whatever it was.
            Some((Err(_panic), _)) => {
                let fault = Fault::new("HostPanic", "the host panicked while it served this run");
                Ran::nothing(Verdict::Retry { fault, after: None }, count, true)
            }
            None => Ran::nothing(Verdict::Release("the host stopped"), count, false),
        };
        served.meter.limits(ran.met.iter().map(|limit| limit.label()));
        ran
    }

    /// The one place where a job is over, however it was run: what is known of it goes to the recorder, unless the job is not ours any
    /// more.
    async fn conclude(&self, held: &Held, served: &Served, verdict: Verdict, cost: &Cost) {
        let Held { job, control } = held;
        let (id, claim) = (job.id, job.claim);
        tracing::debug!(job.id = id, job.entrypoint = %served.entrypoint, elapsed_us = cost.elapsed.as_micros(), memory_bytes = cost.memory, crashed = cost.crashed, "run ended");
        self.ended.fetch_add(1, Ordering::Relaxed);
        served.meter.end(&verdict, cost.elapsed, cost.crashed);
        if !matches!(verdict, Verdict::Release(_)) {
            served.health.observe(cost.crashed);
        }
        if control.is_lease_lost() {
            meter::leases_lost("run", 1);
            tracing::warn!(job.id = id, job.entrypoint = %served.entrypoint, "another worker has taken the job over; this run is not recorded");
            return self.leases.release([claim]);
        }
        // Whatever the guest made of it: somebody said that this job is over. (PgQueuer 1.6 has deleted the row by then, and there is
        // nothing left to write; 2.0 leaves it to us.)
        let verdict = if control.is_cancelled() { Verdict::Discard("cancelled while it ran".into()) } else { verdict };
        let case = verdict::Case { id, attempt: job.attempt(), me: self.me, served };
        let disposition = verdict::decide(verdict, &case, fastrand::f64());
        log_end(id, served, &disposition);
        let attempt =
            cost.ran().then(|| Attempt { number: job.attempt(), plugin: served.plugin.key(), elapsed: cost.elapsed, memory: cost.memory });
        // Sending waits while the recorder is behind: a database that does not keep up slows the claims down, nothing piles up.
        let limited = served.options.concurrency.map(|_| Arc::clone(&served.entrypoint));
        if self.records.send(Record { claim, disposition, attempt, limited }).await.is_err() {
            tracing::error!("an outcome came after the recorder had stopped; the job runs again when its lease is over");
        }
    }
}

/// What the call took in which a job ended; a batch's is that of all its jobs.
struct Cost {
    elapsed: Duration,
    memory: usize,
    crashed: bool,
}

impl Cost {
    /// Whether there was a call at all.
    fn ran(&self) -> bool {
        !self.elapsed.is_zero()
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

//! Claimed jobs, from claim to recorded outcome. Holds no loop.

mod batches;
mod bodies;
mod conclusion;
mod lane;
mod suspects;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::boot_clock::BootInstant;
use crate::capacity::Capacity;
use crate::guests::Guests;
use crate::job::{Claim, Fault, FaultKind, Job, ReleaseReason, Verdict};
use crate::lease::{Leases, Standing};
use crate::plugins::{Exposure, PluginSet, Served};
use crate::queue::{Queue, Record};
use crate::retry_policy;
use crate::wasm::{self, AssignedJob, CallReport, CallSpec, Engine, RunLimits};
use batches::{batches, chunks};
use conclusion::{Cost, limited};
use lane::Lane;

/// Runs jobs on the guest runtime, so many at a time, and hands their outcomes to the recorder.
#[derive(Clone)]
pub struct Executor {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Engine,
    guests: Guests,
    queue: Queue,
    /// For statements: the connections that they open live on these threads, not on those of guests.
    control: Handle,
    lane: Arc<Lane>,
    closed: CancellationToken,
    /// Large payloads are read one at a time: each takes a connection, and is in memory twice for a moment.
    reading: Semaphore,
    running: Semaphore,
    capacity: Arc<Capacity>,
    leases: Arc<Leases>,
    records: mpsc::Sender<Record>,
    ended: AtomicU64,
}

impl Executor {
    /// As many calls run at a time as there is capacity for, all on `guests`. What calls this is on the control runtime.
    pub fn new(
        engine: Engine,
        guests: Guests,
        queue: Queue,
        capacity: Arc<Capacity>,
        leases: Arc<Leases>,
        records: mpsc::Sender<Record>,
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
                ended: AtomicU64::new(0),
            }),
        }
    }

    /// Jobs that ended since the start.
    pub fn ended(&self) -> u64 {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Jobs that wait for a place give it up and are released; no other starts.
    pub fn close(&self) {
        self.shared.closed.cancel();
        self.shared.running.close();
        self.shared.reading.close();
    }

    /// Whether what is claimed now can begin: not while a job runs that nothing may begin beside.
    pub fn is_open(&self) -> bool {
        self.shared.lane.is_open()
    }

    /// Run jobs that were claimed by a statement that was sent at `asked`, on what is served; in batches where an entrypoint takes them.
    pub fn start(&self, jobs: Vec<Job>, plugins: &PluginSet, asked: BootInstant) {
        let (jobs, unread): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.unread.is_none());
        if !unread.is_empty() {
            self.read(unread, plugins, asked);
        }
        self.start_read(jobs, plugins, asked);
    }

    fn start_read(&self, jobs: Vec<Job>, plugins: &PluginSet, asked: BootInstant) {
        let batch = |served: &Served| served.options.batch.unwrap_or(1) as usize;
        let (suspects, jobs) = lane::part(jobs);
        if !suspects.is_empty() {
            // First, since the others may have to wait for them.
            self.start_suspects(suspects, plugins, asked);
        }
        for jobs in batches(jobs, |entrypoint| plugins.get(entrypoint).map_or(1, batch)) {
            let entrypoint = Arc::clone(&jobs[0].entrypoint);
            match plugins.pick(&entrypoint, fastrand::f64()) {
                // A canary may take smaller batches than the version that it is to replace.
                Some(served) => chunks(jobs, batch(served)).for_each(|jobs| self.call(jobs, served, asked)),
                None => tracing::error!(job.entrypoint = %entrypoint, jobs = jobs.len(), "claimed jobs that nobody asked for"),
            }
        }
    }

    /// In one call.
    fn call(&self, jobs: Vec<Job>, served: &Served, asked: BootInstant) {
        served.meter.start(&jobs);
        let exposure = served.expose(jobs.len());
        let jobs = jobs.into_iter().map(|job| self.assign(job, asked)).collect();
        Shared::spawn(&self.shared, jobs, served.clone(), exposure, asked);
    }

    fn assign(&self, job: Job, asked: BootInstant) -> AssignedJob {
        AssignedJob { control: self.shared.leases.hold(job.claim, asked), job: Arc::new(job) }
    }
}

impl Shared {
    fn spawn(self: &Arc<Self>, jobs: Vec<AssignedJob>, served: Served, exposure: Exposure, asked: BootInstant) {
        let (shared, active) = (Arc::clone(self), self.capacity.begin());
        self.guests.handle().spawn(async move {
            let mut left = VecDeque::from(jobs);
            // A panic is caught below where the guest is called. Whatever panics besides that costs these jobs a run, and nothing else:
            // a lease that was left behind would be renewed for ever.
            let _ = AssertUnwindSafe(shared.run(&mut left, &served, asked)).catch_unwind().await;
            shared.abandon(left, &served).await;
            // Before anybody is told that there is room.
            drop(exposure);
            drop(active);
        });
    }

    /// Run these jobs. Those that are concluded, or are run on their own, are taken out.
    async fn run(self: &Arc<Self>, left: &mut VecDeque<AssignedJob>, served: &Served, asked: BootInstant) {
        let place = self.begin(left.make_contiguous(), asked).await;
        // A claim that is over is another worker's: nothing of it begins.
        for _ in 0..left.len() {
            let Some(assigned) = left.front().cloned() else { break };
            if assigned.control.is_lease_lost() {
                self.conclude(&assigned, served, Verdict::Release(ReleaseReason::LeaseLost), &Cost::nothing()).await;
                left.pop_front();
            } else {
                left.rotate_left(1);
            }
        }
        let count = left.len();
        if count == 0 {
            return;
        }
        let report = match place {
            // It opened since the claim: nothing begins that is known to crash, and nothing is counted that did not begin.
            Some(_place) if served.health.is_open() => CallReport::nothing(Verdict::Release(ReleaseReason::EntrypointPaused), count, false),
            Some(_place) => self.call(left.make_contiguous(), served).await,
            None => CallReport::nothing(Verdict::Release(ReleaseReason::HostStopped), count, false),
        };
        // One bad job must not cost the others an attempt, and nobody can tell which it was: each shows it alone.
        let alone = report.crashed && count > 1;
        for verdict in report.verdicts {
            let Some(assigned) = left.front().cloned() else { break };
            if alone && !assigned.control.is_over() {
                self.spawn(vec![assigned], served.clone(), served.expose(1), asked);
            } else {
                let share = report.share.clone();
                let cost = Cost { elapsed: report.elapsed, memory: report.memory, crashed: report.crashed, share };
                self.conclude(&assigned, served, verdict, &cost).await;
            }
            left.pop_front();
        }
    }

    /// The host failed these jobs. That counts as a run that failed; a job for which even that cannot be said is let go, and runs again
    /// when its lease is over.
    async fn abandon(&self, left: VecDeque<AssignedJob>, served: &Served) {
        for AssignedJob { job, .. } in left {
            let fault = Fault::new(FaultKind::HostPanic, "the host panicked while it concluded this run");
            let case = retry_policy::Case { id: job.id, attempt: job.attempt(), me: self.queue.me(), served };
            let decide = || retry_policy::decide(Verdict::Retry { fault, after: None }, &case, fastrand::f64());
            let recorded = match std::panic::catch_unwind(AssertUnwindSafe(decide)) {
                Ok(disposition) => {
                    let limited = limited(served);
                    self.records.send(Record { limited, ..Record::new(job.claim, disposition) }).await.is_ok()
                }
                Err(_panic) => false,
            };
            if !recorded {
                self.leases.release([job.claim]);
            }
        }
    }

    /// A place to run in, once these jobs may begin: none runs that has to be alone, and their leases are good for a while, or known to be
    /// lost. `None` when the host stops.
    async fn begin(&self, jobs: &[AssignedJob], asked: BootInstant) -> Option<SemaphorePermit<'_>> {
        loop {
            if !self.lane.is_open() {
                self.closed.run_until_cancelled(self.lane.open()).await?;
            }
            let place = self.running.acquire().await.ok()?;
            if !self.lane.is_open() {
                continue;
            }
            let is_stale = |claim: &Claim| self.leases.standing(*claim) == Standing::Stale;
            let claims: Vec<Claim> = match self.leases.is_good(asked) {
                true => Vec::new(),
                false => jobs.iter().map(|assigned| assigned.job.claim).filter(is_stale).collect(),
            };
            if claims.is_empty() {
                return Some(place);
            }
            drop(place);
            self.leases.renew(&claims, &self.closed).await;
            if self.closed.is_cancelled() {
                return None;
            }
        }
    }

    /// One call of the guest, wherever it computes, and whatever becomes of it.
    async fn call(&self, jobs: &[AssignedJob], served: &Served) -> CallReport {
        let options = &served.options;
        let spec = CallSpec {
            plugin: Arc::clone(&served.plugin),
            entrypoint: Arc::clone(&served.entrypoint),
            limits: RunLimits { timeout: options.timeout, memory: options.memory, max_attempts: options.max_attempts },
            reuse: options.reuse,
            batched: options.batch.is_some(),
        };
        let (engine, assigned, count) = (self.engine.clone(), jobs.to_vec(), jobs.len());
        let run = async move { AssertUnwindSafe(wasm::run(&engine, &spec, &assigned)).catch_unwind().await };
        let long = served.pace.is_long();
        tracing::debug!(job.entrypoint = %served.entrypoint, long, "run begins");
        let ended = self.guests.run(long, run).await;
        if let Some((_, long)) = ended {
            served.pace.observe(long);
        }
        let report = match ended {
            Some((Ok(report), _)) => report,
            // The hook has logged where. This call's fault, whatever it was.
            Some((Err(_panic), _)) => {
                let fault = Fault::new(FaultKind::HostPanic, "the host panicked while it served this run");
                CallReport::nothing(Verdict::Retry { fault, after: None }, count, true)
            }
            None => CallReport::nothing(Verdict::Release(ReleaseReason::HostStopped), count, false),
        };
        served.meter.limits(report.limit_hits.iter().map(|limit| limit.label()));
        report
    }
}

//! One call of a guest, for one job or for several of one entrypoint, in a fresh or an idle
//! instance.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::PoolConcurrencyLimitError;

use super::bindings::pgq::plugin::jobs::{Failure, Outcome};
use super::border::RESULT_BYTES;
use super::component::Loaded;
use super::control::{Control, Controls, StopCause};
use super::engine::Engine;
use super::instance::{Answers, Instance};
use super::instance_pool::PoolKey;
use super::limit_hit::{self, LimitHit};
use super::limits::RunLimits;
use super::linked_component::LinkedComponent;
use super::log_context::{self, LogContext};
use super::outbox::Outbox;
use super::processor_time::measured;
use super::resources::CurrentJob;
use super::room::RoomShare;
use super::sql::SqlSession;
use super::sql_host::SqlAccess;
use super::state::{Call, State, StoreSpec};
use super::trap;
use crate::descriptors;
use crate::printable::cut;
use pgq_job::{Fault, FaultKind, Job, JobId, Printed, TracedCall, TracedJob, Traffic, Verdict};

/// A larger output is rejected. Results belong in a table or an object store; the queue keeps the
/// receipt.
const MAX_OUTPUT_BYTES: usize = 16 << 20;
const MAX_TEXT_BYTES: usize = 8 << 10;
/// Smaller outputs and follow-ups of a call are not counted. Their number is limited by the
/// recorder's backlog.
const UNCOUNTED: usize = 4 << 10;

/// How long after its deadline a guest that computes may take to notice, before the run is
/// abandoned as if it waited.
const GRACE: Duration = Duration::from_millis(20);

/// With more folders than there may be permits, a run would wait forever.
const MAX_FOLDERS: u32 = 16;

/// How long a cancelled run has to notice by itself.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// A job and its control.
#[derive(Debug, Clone)]
pub struct AssignedJob {
    pub job: Arc<Job>,
    /// Tells it to continue or to stop.
    pub control: Arc<Control>,
    /// Who is told of its turn on this host, if it is traced. The engine only carries it.
    pub trace: Option<Arc<dyn TracedJob>>,
}

/// The plugin and the options for a call.
#[derive(Debug, Clone)]
pub struct CallSpec {
    pub plugin: Arc<Loaded>,
    pub entrypoint: Arc<str>,
    pub limits: RunLimits,
    /// How many jobs one instance may run, one after the other.
    pub reuse: u32,
    /// Whether calls go to `batch-handler`.
    pub batched: bool,
    /// The most bytes of lines to keep for the report.
    pub kept_lines: usize,
    /// The transaction of the run, if the plugin may use the database.
    pub sql: Option<Arc<dyn SqlSession>>,
    /// Who is told of what the call does, if it is traced.
    pub trace: Option<Arc<dyn TracedCall>>,
}

/// The result of a call, and what it used.
#[derive(Debug)]
pub struct CallReport {
    /// The verdict for each job, in their order.
    pub verdicts: Vec<Verdict>,
    /// Whether the call failed to return: a trap or a deadline, not a failure that the guest
    /// reports.
    pub crashed: bool,
    /// The limits that it hit, without duplicates.
    pub limit_hits: Vec<LimitHit>,
    /// Wall time, including instantiation.
    pub elapsed: Duration,
    /// The peak of linear memory in bytes, over all jobs of the instance.
    pub memory: usize,
    /// The share of guest memory for outputs and follow-ups. Keep it until they are recorded.
    pub share: Option<Arc<RoomShare>>,
    /// Time on a processor, instantiation included.
    pub processor: Duration,
    /// Outgoing requests.
    pub traffic: Traffic,
    /// The last lines.
    pub printed: Arc<Printed>,
}

impl CallReport {
    /// The same verdict for each of `jobs` jobs, without running a guest.
    pub fn nothing(verdict: Verdict, jobs: usize, crashed: bool) -> CallReport {
        CallReport {
            verdicts: vec![verdict; jobs],
            crashed,
            limit_hits: Vec::new(),
            elapsed: Duration::ZERO,
            memory: 0,
            share: None,
            processor: Duration::ZERO,
            traffic: Traffic::default(),
            printed: Arc::default(),
        }
    }
}

/// Run these jobs in one call: one job, unless the entrypoint takes batches. Never fails, since
/// every failure is a verdict.
pub async fn run(engine: &Engine, spec: &CallSpec, jobs: &[AssignedJob]) -> CallReport {
    let _ticking = engine.running();
    let CallSpec { plugin, limits, trace, .. } = spec;
    if let Some(trace) = trace {
        trace.begin();
    }
    let code = plugin.code.best();
    let key = PoolKey {
        plugin: plugin.id.number(),
        optimised: code.is_optimised,
        entrypoint: Arc::clone(&spec.entrypoint),
        memory: limits.memory,
    };
    // Declared before the instance, so that it is dropped after it.
    let (permit, kept) = engine.instance_pool().acquire(&key);
    let (mut started, mut instance);
    match kept {
        Some(kept) => {
            started = Instant::now();
            instance = kept.renewed(spec.call(jobs, started));
        }
        None => match spec.fresh(engine, jobs).await {
            Ok(fresh) => (started, instance) = fresh,
            Err(cause) => return CallReport::nothing(trap::stopped(cause, limits), jobs.len(), false),
        },
    }
    let (mut called, mut processor) = measured(pin!(call_within(&mut instance, &code.linked, spec, jobs))).await;
    if called.as_ref().is_err_and(|error| error.is::<PoolConcurrencyLimitError>()) && engine.instance_pool().clear() {
        // Components with many parts can exhaust the allocator before there are too many instances.
        drop(instance);
        match Box::pin(spec.fresh(engine, jobs)).await {
            Ok(fresh) => (started, instance) = fresh,
            Err(cause) => return CallReport::nothing(trap::stopped(cause, limits), jobs.len(), false),
        }
        (called, processor) = measured(Box::pin(call_within(&mut instance, &code.linked, spec, jobs)).as_mut()).await;
    }
    let state = instance.store.data_mut();
    state.finish_streams();
    state.end_sql();
    state.end_trace();
    plugin.memory_estimate.learn(state.limits.peak());
    let limit_hits = limit_hit::of(called.as_ref().err(), state);
    let (elapsed, memory) = (started.elapsed(), state.limits.memory());
    let (traffic, printed) = (state.hooks.traffic(), Arc::new(state.log.take_printed()));
    let mut report = CallReport {
        verdicts: Vec::new(),
        crashed: false,
        limit_hits,
        elapsed,
        memory,
        share: None,
        processor,
        traffic,
        printed,
    };
    match called {
        Ok(answers) if answers.len() == jobs.len() => {
            report.verdicts = answers
                .into_iter()
                .zip(jobs)
                .map(|(answer, assigned)| verdict(answer, assigned.job.id, state, &mut report.limit_hits))
                .collect();
            // The instance's own share is dropped with it. What the call left behind needs its own.
            let bytes = report.verdicts.iter().map(Verdict::bytes).sum();
            report.share = (bytes > UNCOUNTED).then(|| Arc::new(engine.room().hold(bytes)));
            // An instance of quick code is not kept beyond that code.
            let is_current = code.is_optimised == plugin.code.is_optimised();
            if is_current && instance.jobs < spec.reuse && state.limits.exhausted.is_none() && !engine.room().is_short()
            {
                state.limits.rest();
                permit.keep(key, instance);
            }
        }
        Ok(answers) => {
            let message = format!(
                "handle-batch was given {} jobs and returned {} results; it must return one per job",
                jobs.len(),
                answers.len()
            );
            report.verdicts =
                vec![Verdict::Retry { fault: Fault::new(FaultKind::BatchMismatch, message), after: None }; jobs.len()];
            report.crashed = true;
        }
        Err(error) => {
            let mut verdict = trap::verdict(&error, state, limits);
            report.crashed = matches!(verdict, Verdict::Retry { .. });
            if let (Verdict::Retry { fault, .. }, [assigned]) = (&mut verdict, jobs)
                && fault.kind.is_the_guests()
                && let Some(reported) = state.reports.take(assigned.job.id)
            {
                reported.describe(fault);
            }
            report.verdicts = vec![verdict; jobs.len()];
        }
    }
    report
}

/// The epoch interrupts a guest that computes. The timer and the controls interrupt one that waits
/// in a host call.
async fn call_within(
    instance: &mut Instance,
    linked: &LinkedComponent,
    spec: &CallSpec,
    jobs: &[AssignedJob],
) -> wasmtime::Result<Answers> {
    let interrupt = &instance.store.data().interrupt;
    let (controls, deadline) = (interrupt.controls().clone(), interrupt.deadline());
    let handle = |assigned: &AssignedJob| CurrentJob {
        job: Arc::clone(&assigned.job),
        control: Arc::clone(&assigned.control),
        max_attempts: spec.limits.max_attempts,
    };
    tokio::select! {
        biased;
        called = instance.call(linked, jobs.iter().map(handle).collect(), spec.batched) => called,
        cause = controls.stopped(CANCEL_GRACE) => Err(cause.into()),
        () = tokio::time::sleep_until((deadline + GRACE).into()) => Err(StopCause::Deadline.into()),
    }
}

impl CallSpec {
    /// Create a fresh instance once the host has room for as much memory as earlier runs of the
    /// plugin used. The run's time starts then.
    async fn fresh(&self, engine: &Engine, jobs: &[AssignedJob]) -> Result<(Instant, Instance), StopCause> {
        let bytes = self.plugin.memory_estimate.bytes().min(self.limits.memory);
        let tidy = || {
            engine.instance_pool().clear();
        };
        let places = async {
            let share = engine.room().enter(bytes, tidy).await;
            let folders = u32::try_from(self.plugin.grants.directories.len()).unwrap_or(u32::MAX).min(MAX_FOLDERS);
            let folders =
                if folders == 0 { None } else { descriptors::of_guests().acquire_many_owned(folders).await.ok() };
            (share, folders)
        };
        let controls = self.controls(jobs);
        let (share, folders) = tokio::select! {
            biased;
            places = places => places,
            cause = controls.stopped(CANCEL_GRACE) => return Err(cause),
        };
        let started = Instant::now();
        let spec = StoreSpec {
            grants: Arc::clone(&self.plugin.grants),
            memory: self.limits.memory,
            share,
            folders,
            returns: RESULT_BYTES,
            call: self.call(jobs, started),
        };
        Ok((started, Instance::new(State::store(engine.inner(), engine.settings(), spec))))
    }

    fn controls(&self, jobs: &[AssignedJob]) -> Controls {
        Controls::of(jobs.iter().map(|assigned| Arc::clone(&assigned.control)).collect())
    }

    fn call(&self, jobs: &[AssignedJob], started: Instant) -> Call {
        Call {
            log_context: LogContext {
                plugin: Arc::clone(&self.plugin.name),
                entrypoint: Arc::clone(&self.entrypoint),
                job: jobs.first().map_or(0, |assigned| assigned.job.id),
                batch: self.batched.then_some(jobs.len()),
                kept: self.kept_lines,
                trace: self.trace.as_ref().map(|trace| log_context::ids(trace.context())),
                hits: Arc::clone(&self.plugin.hits),
            },
            controls: self.controls(jobs),
            deadline: started + self.limits.timeout,
            outbox: if self.batched { Outbox::closed(NO_FOLLOW_UPS) } else { Outbox::default() },
            sql: match &self.sql {
                _ if self.batched => SqlAccess::Closed(NO_STATEMENTS),
                Some(session) => SqlAccess::Open(Arc::clone(session)),
                None => SqlAccess::Denied,
            },
            trace: self.trace.clone(),
        }
    }
}

const NO_STATEMENTS: &str = "a batch cannot use the database, because it is unclear with whose outcome its statements should be committed; use it from an entrypoint without `batch`";
const NO_FOLLOW_UPS: &str = "a batch cannot enqueue jobs, because it is unclear with whose outcome they should be committed; enqueue from an entrypoint without `batch`";

fn verdict(answer: Result<Outcome, Failure>, job: JobId, state: &mut State, limit_hits: &mut Vec<LimitHit>) -> Verdict {
    let reported = state.reports.take(job);
    let fault = |kind, message: &str| {
        let mut fault = Fault::new(kind, cut(message, MAX_TEXT_BYTES));
        if let Some(reported) = reported {
            reported.describe(&mut fault);
        }
        fault
    };
    match answer {
        Ok(Outcome::Complete(output)) => match output.as_ref().map(Vec::len) {
            Some(size) if size > MAX_OUTPUT_BYTES => {
                limit_hits.push(LimitHit::Output);
                Verdict::Reject(Fault::new(
                    FaultKind::OutputTooLarge,
                    format!(
                        "the output has {size} bytes, and the limit is {MAX_OUTPUT_BYTES}: store it elsewhere and return its location"
                    ),
                ))
            }
            _ => Verdict::Complete { output, follow_ups: state.enqueue.take_jobs() },
        },
        Ok(Outcome::Snooze(ms)) => Verdict::Snooze(Duration::from_millis(ms)),
        Ok(Outcome::Discard(reason)) => Verdict::Discard(cut(&reason, MAX_TEXT_BYTES).to_owned()),
        Err(Failure::Retry(info)) => Verdict::Retry {
            fault: fault(FaultKind::Retry, &info.message),
            after: info.after.map(Duration::from_millis),
        },
        Err(Failure::Reject(reason)) => Verdict::Reject(fault(FaultKind::Reject, &reason)),
    }
}

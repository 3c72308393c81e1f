//! The end of a run: from its verdict to the record.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tracing::field::display;

use super::committing::Committing;
use super::shared::Shared;
use super::traced::{self, Told};
use crate::locked_batch::bound;
use crate::meter;
use crate::plugins::Served;
use crate::retry_policy;
use pgq_engine::{AssignedJob, RoomShare};
use pgq_job::{Disposition, Fault, FaultKind, Printed, SpanId, TraceId, TracedOutcome, Traffic, Verdict};
use pgq_queue::{Attempt, ConcurrencyLimit, Record};
use pgq_sql::RunSql;

/// A job that has failed this often and still comes back at once is in a loop. With the default
/// back-off, it waits for minutes by then.
const MANY_ATTEMPTS: u32 = 10;

impl Shared {
    /// The one place where runs end. Sends the record to the recorder, unless the job is not ours
    /// any more, or the run's own transaction has recorded it.
    pub(super) async fn conclude(&self, assigned: &AssignedJob, served: &Served, verdict: Verdict, cost: &Cost) {
        self.end(assigned, served, verdict, cost).await;
        if let Some(sql) = &cost.sql {
            // Unless it was committed.
            sql.roll_back();
        }
    }

    async fn end(&self, assigned: &AssignedJob, served: &Served, verdict: Verdict, cost: &Cost) {
        let AssignedJob { job, control, trace } = assigned;
        let (id, claim, ids) = (job.id, job.claim, traced::ids(trace.as_ref()));
        tracing::debug!(job.id = id, job.entrypoint = %served.entrypoint, trace_id = ids.map(|(trace, _)| display(trace)), span_id = ids.map(|(_, span)| display(span)), elapsed_us = cost.elapsed.as_micros(), memory_bytes = cost.memory, crashed = cost.crashed, "run ended");
        self.ended.fetch_add(1, Ordering::Relaxed);
        served.metrics.end(&verdict, cost.elapsed, cost.crashed);
        if !matches!(verdict, Verdict::Release(_)) {
            served.breaker.observe(cost.crashed);
            served.lasting.observe(cost.elapsed >= bound());
        }
        if control.is_lease_lost() {
            meter::leases_lost("run", 1);
            if let Some(trace) = trace {
                traced::conclude(trace, traced::lost(control.is_cancelled()), cost.elapsed, served);
            }
            if control.is_cancelled() {
                tracing::info!(job.id = id, job.entrypoint = %served.entrypoint, "the job was cancelled while it report; this run is not recorded");
            } else {
                tracing::warn!(job.id = id, job.entrypoint = %served.entrypoint, "the job is not this worker's any more: another has taken it over, or it was cancelled unheard; this run is not recorded");
            }
            if let Some(batch) = self.leases.locked(claim) {
                batch.drop_out(claim);
            }
            return self.leases.release([claim]);
        }
        // A cancelled job is over, whatever the guest made of it. (PgQueuer 1.6 has deleted the row
        // by then, and there is nothing left to write; 2.0 leaves that to us.)
        let cancelled = control.is_cancelled();
        let verdict = if cancelled { retry_policy::cancelled() } else { self.seal(verdict, job, served) };
        let told = trace.as_ref().map(|trace| (trace, Told::of(&verdict)));
        let case = retry_policy::Case { id, attempt: job.attempt(), me: self.queue.me(), served };
        let keeps =
            !cancelled && matches!(verdict, Verdict::Complete { .. } | Verdict::Snooze(_) | Verdict::Discard(_));
        let suspect = job.suspicion.is_some() && cost.ran() && !matches!(verdict, Verdict::Release(_));
        let mut disposition = retry_policy::decide(verdict, &case, fastrand::f64());
        // A release by the host is no turn of the job, and a job that fails a few times is no loop.
        if let Disposition::Again { delay, counts, .. } = &mut disposition
            && cost.ran()
            && (!*counts || job.attempt() >= MANY_ATTEMPTS)
        {
            *delay = served.throttle.delay(*delay);
        }
        log_end(id, ids, served, &disposition);
        if let Some((trace, told)) = told {
            traced::conclude(trace, told.outcome(&disposition), cost.elapsed, served);
        }
        let attempt = cost.ran().then(|| Attempt {
            number: job.attempt(),
            plugin: served.plugin.key(),
            elapsed: cost.elapsed,
            memory: cost.memory,
            processor: cost.processor,
            traffic: cost.traffic,
        });
        let lines = served.logs.kept(&cost.printed, &disposition);
        // Waits while the recorder is behind: a database that does not keep up slows the claims
        // down.
        let limited = limited(served);
        let share = cost.share.clone().map(|share| share as Arc<dyn Any + Send + Sync>);
        let trace = trace.clone();
        let mut record = Record { claim, disposition, attempt, limited, suspect, cancelled, lines, share, trace };
        if let Some(sql) = cost.sql.as_ref().filter(|_| keeps) {
            match Box::pin(self.commit(sql, &record, served)).await {
                Committing::Done => return,
                Committing::Nothing => {}
                Committing::Refused(verdict) => {
                    let told = Told::of(&verdict);
                    record.disposition = retry_policy::decide(verdict, &case, fastrand::f64());
                    record.lines = served.logs.kept(&cost.printed, &record.disposition);
                    log_end(id, ids, served, &record.disposition);
                    if let Some(trace) = &record.trace {
                        traced::conclude(trace, told.outcome(&record.disposition), cost.elapsed, served);
                    }
                }
            }
        }
        if !self.record(record).await {
            tracing::error!(
                "an outcome came after the recorder had stopped; the job runs again when its lease is over"
            );
        }
    }

    /// Bring this outcome to where its row is. Returns false if the recorder has stopped.
    async fn record(&self, record: Record) -> bool {
        let record = match self.leases.locked(record.claim) {
            Some(batch) => match batch.end(record) {
                None => return true,
                Some(record) => record,
            },
            None => record,
        };
        match self.records.try_send(record) {
            Ok(()) => true,
            Err(TrySendError::Full(record)) => Box::pin(self.records.send(record)).await.is_ok(),
            Err(TrySendError::Closed(_)) => false,
        }
    }

    /// Record a failed run for jobs that a panic of the host left behind. One for which that fails
    /// as well runs again when its lease is over.
    pub(super) async fn abandon(&self, left: VecDeque<AssignedJob>, served: &Served) {
        for AssignedJob { job, trace, .. } in left {
            let fault = Fault::new(FaultKind::HostPanic, "the host panicked while it concluded this run");
            let error = Some(traced::traced_error(&fault));
            let case = retry_policy::Case { id: job.id, attempt: job.attempt(), me: self.queue.me(), served };
            let decide = || retry_policy::decide(Verdict::Retry { fault, after: None }, &case, fastrand::f64());
            let recorded = match std::panic::catch_unwind(AssertUnwindSafe(decide)) {
                Ok(disposition) => {
                    let limited = limited(served);
                    if let Some(trace) = &trace {
                        traced::conclude(trace, TracedOutcome { action: "retry", error }, Duration::ZERO, served);
                    }
                    self.record(Record { limited, trace, ..Record::new(job.claim, disposition) }).await
                }
                Err(_panic) => false,
            };
            if !recorded {
                self.leases.release([job.claim]);
            }
        }
    }
}

/// What the call of a job took; in a batch, the call of all its jobs.
pub(super) struct Cost {
    pub(super) elapsed: Duration,
    pub(super) memory: usize,
    pub(super) crashed: bool,
    /// The share of the guests' memory that its outputs take until they are recorded.
    pub(super) share: Option<Arc<RoomShare>>,
    pub(super) processor: Duration,
    pub(super) traffic: Traffic,
    pub(super) printed: Arc<Printed>,
    /// What the run did in the database, and nobody has committed yet.
    pub(super) sql: Option<Arc<RunSql>>,
}

impl Cost {
    pub(super) fn nothing() -> Cost {
        Cost {
            elapsed: Duration::ZERO,
            memory: 0,
            crashed: false,
            share: None,
            processor: Duration::ZERO,
            traffic: Traffic::default(),
            printed: Arc::default(),
            sql: None,
        }
    }

    /// Whether there was a call.
    pub(super) fn ran(&self) -> bool {
        !self.elapsed.is_zero()
    }
}

/// The limit that jobs of this entrypoint run under, if any.
fn limited(served: &Served) -> Option<ConcurrencyLimit> {
    served
        .options
        .concurrency
        .map(|concurrency| ConcurrencyLimit { entrypoint: Arc::clone(&served.entrypoint), concurrency })
}

fn cause(traceback: &serde_json::Value) -> Option<&str> {
    traceback["exception_message"].as_str()
}

fn log_end(id: i64, ids: Option<(TraceId, SpanId)>, served: &Served, disposition: &Disposition) {
    let (trace_id, span_id) = (ids.map(|(trace, _)| display(trace)), ids.map(|(_, span)| display(span)));
    let (entrypoint, plugin) = (&*served.entrypoint, &*served.plugin.name);
    match disposition {
        Disposition::Finished { traceback: None, .. } => {
            tracing::debug!(job.id = id, job.entrypoint = entrypoint, plugin, trace_id, span_id, "done")
        }
        Disposition::Finished { status, traceback: Some(traceback), .. } => {
            tracing::info!(
                job.id = id,
                job.entrypoint = entrypoint,
                plugin,
                trace_id,
                span_id,
                status = status.label(),
                cause = cause(traceback),
                "ended"
            );
        }
        Disposition::Again { delay, counts: true, traceback } => {
            let cause = traceback.as_ref().and_then(cause);
            tracing::info!(
                job.id = id,
                job.entrypoint = entrypoint,
                plugin,
                trace_id,
                span_id,
                delay_ms = delay.as_millis(),
                cause,
                "failed, runs again"
            );
        }
        Disposition::Again { delay, .. } => {
            tracing::debug!(
                job.id = id,
                job.entrypoint = entrypoint,
                plugin,
                trace_id,
                span_id,
                delay_ms = delay.as_millis(),
                "queued again"
            )
        }
        Disposition::Held { traceback } => {
            tracing::warn!(
                job.id = id,
                job.entrypoint = entrypoint,
                plugin,
                trace_id,
                span_id,
                cause = cause(traceback),
                "failed for good, held"
            );
        }
    }
}

//! Collects the facts of one turn of a job, and decides at its end whether it is kept.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgq_job::{SpanId, TraceContext, TracedCall, TracedError, TracedJob, TracedOutcome, TracedPlugin};

use super::call_trace::CallTrace;
use super::clock::Clock;
use super::finished::{ClaimFacts, Concluded, Finished, JobFacts, Recorded, Turn};
use super::sink::Sink;

/// Longer messages are cut.
const MAX_MESSAGE_BYTES: usize = 1 << 10;

pub(crate) struct JobTrace {
    pub(crate) sink: Arc<Sink>,
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) previous: Option<TraceContext>,
    pub(crate) baggage: Option<Arc<str>>,
    pub(crate) clock: Clock,
    pub(crate) job: JobFacts,
    pub(crate) claimed: ClaimFacts,
    pub(crate) progress: Mutex<Progress>,
}

#[derive(Default)]
pub(crate) struct Progress {
    calls: Vec<Arc<CallTrace>>,
    shared: Vec<Arc<dyn TracedCall>>,
    concluded: Option<Concluded>,
    recorded: Option<Recorded>,
    /// Why it is kept although its trace is not sampled.
    kept: Option<&'static str>,
}

impl JobTrace {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for JobTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobTrace({}, {})", self.job.id, self.context.traceparent())
    }
}

impl TracedJob for JobTrace {
    fn context(&self) -> &TraceContext {
        &self.context
    }

    fn call(&self) -> Arc<dyn TracedCall> {
        let call = Arc::new(CallTrace::of_turn(&self.context, self.baggage.clone(), self.sink.propagates));
        self.lock().calls.push(Arc::clone(&call));
        call
    }

    fn shares(&self, call: Arc<dyn TracedCall>) {
        self.lock().shared.push(call);
    }

    fn conclude(&self, mut outcome: TracedOutcome, elapsed: Duration, plugin: &dyn Fn() -> TracedPlugin) {
        let kept = self.sink.keep.reason(&outcome, elapsed).filter(|_| !self.context.sampled);
        let is_kept = self.context.sampled || kept.is_some();
        if let Some(error) = &mut outcome.error {
            error.message.truncate(error.message.floor_char_boundary(MAX_MESSAGE_BYTES));
            error.kind.truncate(error.kind.floor_char_boundary(MAX_MESSAGE_BYTES));
        }
        let mut progress = self.lock();
        progress.kept = kept;
        progress.concluded = Some(Concluded { outcome, at: Instant::now(), plugin: is_kept.then(plugin) });
    }

    fn recorded(&self, ours: bool, at: Instant) {
        self.lock().recorded = Some(Recorded { ours, at });
    }

    fn as_previous(&self) -> Option<String> {
        let is_kept = self.context.sampled || self.lock().kept.is_some();
        (is_kept && self.sink.propagates).then(|| self.context.traceparent())
    }
}

impl Drop for JobTrace {
    fn drop(&mut self) {
        let progress = std::mem::take(self.progress.get_mut().unwrap_or_else(PoisonError::into_inner));
        let Progress { calls, shared, mut concluded, recorded, mut kept } = progress;
        let is_lost = recorded.is_some_and(|recorded| !recorded.ours) || concluded.is_none();
        if is_lost && !self.context.sampled && self.sink.keep.failed {
            kept = kept.or(Some("failed"));
        }
        if !self.context.sampled && kept.is_none() {
            return;
        }
        if concluded.is_none() {
            let message = "the host gave the job up before its run was concluded".to_owned();
            let error = Some(TracedError { kind: "Abandoned".into(), message });
            let outcome = TracedOutcome { action: "abandon", error };
            concluded = Some(Concluded { outcome, at: Instant::now(), plugin: None });
        }
        shared.iter().for_each(|call| call.keep());
        let turn = Turn {
            context: self.context.clone(),
            parent: self.parent,
            previous: self.previous.take(),
            clock: self.clock,
            job: self.job.clone(),
            claimed: self.claimed,
            calls: calls.iter().map(|call| call.take()).collect(),
            shared: shared.iter().map(|call| call.context().clone()).collect(),
            outcome: concluded,
            recorded,
            ended: Instant::now(),
            kept,
        };
        self.sink.take(Finished::Turn(Box::new(turn)));
    }
}

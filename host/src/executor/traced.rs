//! What the executor tells the traces of its jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::plugins::Served;
use pgq_engine::AssignedJob;
use pgq_job::{
    Disposition, Fault, Job, SpanId, Terminal, TraceId, TracedCall, TracedError, TracedJob, TracedOutcome,
    TracedPlugin, Verdict,
};
use pgq_queue::boot_clock::BootInstant;
use pgq_trace::Claimed;

impl Shared {
    /// The claim of these jobs, if anybody wants to know.
    pub(super) fn claimed(&self, asked: BootInstant, jobs: usize) -> Option<Claimed> {
        self.tracer.as_ref()?;
        let answered = Instant::now();
        let asked = answered.checked_sub(asked.elapsed()).unwrap_or(answered);
        Some(Claimed { asked, answered, jobs })
    }

    pub(super) fn begin_trace(&self, job: &Job, claimed: Option<Claimed>) -> Option<Arc<dyn TracedJob>> {
        Some(self.tracer.as_ref()?.begin(job, claimed?))
    }

    /// The trace of a call for these jobs.
    pub(super) fn trace_call(&self, jobs: &[AssignedJob], served: &Served) -> Option<Arc<dyn TracedCall>> {
        let tracer = self.tracer.as_ref()?;
        if let [alone] = jobs {
            return Some(alone.trace.as_ref()?.call());
        }
        let turns: Vec<Arc<dyn TracedJob>> = jobs.iter().filter_map(|assigned| assigned.trace.clone()).collect();
        Some(tracer.batch(&served.entrypoint, &turns))
    }
}

/// What the verdict on a run says of it, before it is used up.
pub(super) struct Told {
    error: Option<TracedError>,
    is_release: bool,
}

impl Told {
    pub(super) fn of(verdict: &Verdict) -> Told {
        let error = match verdict {
            Verdict::Retry { fault, .. } | Verdict::Reject(fault) => Some(traced_error(fault)),
            _ => None,
        };
        Told { error, is_release: matches!(verdict, Verdict::Release(_)) }
    }

    /// With what is done with the job.
    pub(super) fn outcome(self, disposition: &Disposition) -> TracedOutcome {
        let action = match disposition {
            Disposition::Finished { status: Terminal::Successful, .. } => "complete",
            Disposition::Finished { status: Terminal::Canceled, .. } => "discard",
            Disposition::Finished { status: Terminal::Exception, .. } => "fail",
            Disposition::Again { counts: true, .. } => "retry",
            Disposition::Again { .. } if self.is_release => "release",
            Disposition::Again { .. } => "snooze",
            Disposition::Held { .. } => "hold",
        };
        TracedOutcome { action, error: self.error }
    }
}

pub(super) fn traced_error(fault: &Fault) -> TracedError {
    TracedError { kind: fault.name().to_owned(), message: fault.message.clone() }
}

/// A job that is not this worker's any more.
pub(super) fn lost(is_cancelled: bool) -> TracedOutcome {
    if is_cancelled {
        return TracedOutcome { action: "cancel", error: None };
    }
    let message = "another worker has taken the job over, or it was cancelled unheard".to_owned();
    TracedOutcome { action: "lose", error: Some(TracedError { kind: "LeaseLost".into(), message }) }
}

pub(super) fn conclude(trace: &Arc<dyn TracedJob>, outcome: TracedOutcome, elapsed: Duration, served: &Served) {
    let plugin = || TracedPlugin {
        name: Arc::clone(&served.plugin.name),
        version: served.plugin.version.clone(),
        sha256: served.plugin.sha256.clone(),
    };
    trace.conclude(outcome, elapsed, &plugin);
}

/// For lines of the log.
pub(super) fn ids(trace: Option<&Arc<dyn TracedJob>>) -> Option<(TraceId, SpanId)> {
    trace.map(|trace| (trace.context().trace, trace.context().span))
}

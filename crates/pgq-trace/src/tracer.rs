//! Where traces of jobs begin.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgq_job::{Job, TraceContext, TracedCall, TracedJob};

use super::call_trace::CallTrace;
use super::carrier;
use super::clock::Clock;
use super::exporter::{Exporter, TraceError};
use super::finished::{ClaimFacts, JobFacts};
use super::ids;
use super::job_trace::{JobTrace, Progress};
use super::keep::Keep;
use super::pump::Pump;
use super::queue::Queue;
use super::settings::TraceSettings;
use super::sink::Sink;

/// The claim that brought a job.
#[derive(Debug, Clone, Copy)]
pub struct Claimed {
    /// When its statement was sent.
    pub asked: Instant,
    pub answered: Instant,
    /// How many jobs it brought.
    pub jobs: usize,
}

/// Begins the traces of a host's jobs.
#[derive(Debug, Clone)]
pub struct Tracer {
    pub(crate) sink: Arc<Sink>,
}

/// A tracer, and the pump that sends what it keeps. `instance` tells this host from others.
///
/// # Errors
///
/// Fails if the way to the collector cannot be prepared. Whether it answers is found out later.
pub fn start(settings: &TraceSettings, keep: Keep, instance: &str) -> Result<(Tracer, Pump), TraceError> {
    let exporter = Exporter::new(settings, instance)?;
    let queue = Queue::new(settings.max_queue_size, settings.max_batch_size);
    let sink = Arc::new(Sink { sampler: settings.sampler, keep, propagates: settings.propagates, queue });
    Ok((Tracer { sink: Arc::clone(&sink) }, Pump::new(sink, exporter, settings)))
}

impl Tracer {
    /// Begin the trace of a turn of this job, or continue its producer's.
    pub fn begin(&self, job: &Job, claimed: Claimed) -> Arc<dyn TracedJob> {
        let carried = if self.sink.propagates { carrier::read(job.headers.as_deref()) } else { Default::default() };
        let carrier::Carried { parent, baggage, previous } = carried;
        // A job without a producer's trace has one of its own for all of its turns.
        let root = || previous.as_ref().map_or_else(ids::new_trace, |previous| previous.trace);
        let trace = parent.as_ref().map_or_else(root, |parent| parent.trace);
        let context = TraceContext {
            trace,
            span: ids::new_span(),
            sampled: self.sink.sampler.samples(trace, parent.as_ref()),
            state: parent.as_ref().and_then(|parent| parent.state.clone()),
        };
        let due = job.due.max(job.created());
        let waited = (job.claim.at - due).to_std().unwrap_or(Duration::ZERO);
        Arc::new(JobTrace {
            sink: Arc::clone(&self.sink),
            context,
            parent: parent.map(|parent| parent.span),
            previous,
            baggage,
            clock: Clock::now(),
            job: JobFacts {
                id: job.id,
                entrypoint: Arc::clone(&job.entrypoint),
                bytes: job.payload.as_ref().map_or(0, Vec::len),
                attempt: job.attempt(),
                priority: job.priority,
            },
            claimed: ClaimFacts { waited, asked: claimed.asked, answered: claimed.answered, jobs: claimed.jobs },
            progress: Mutex::new(Progress::default()),
        })
    }

    /// A call that these jobs share.
    pub fn batch(&self, entrypoint: &Arc<str>, turns: &[Arc<dyn TracedJob>]) -> Arc<dyn TracedCall> {
        let contexts = turns.iter().map(|turn| turn.context().clone()).collect();
        let call: Arc<dyn TracedCall> =
            Arc::new(CallTrace::of_batch(Arc::clone(&self.sink), Arc::clone(entrypoint), contexts));
        turns.iter().for_each(|turn| turn.shares(Arc::clone(&call)));
        call
    }
}

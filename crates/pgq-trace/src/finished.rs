//! The facts of what is over, before anybody makes spans of them.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use pgq_job::{HostCall, JobId, SpanId, TraceContext, TracedOutcome, TracedPlugin};

use super::clock::Clock;

/// What is over and is kept.
#[derive(Debug)]
pub(crate) enum Finished {
    Turn(Box<Turn>),
    Batch(Box<Batch>),
    Lost(Box<Lost>),
}

/// A turn of a job.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) context: TraceContext,
    /// The span that created the job.
    pub(crate) parent: Option<SpanId>,
    pub(crate) previous: Option<TraceContext>,
    pub(crate) clock: Clock,
    pub(crate) job: JobFacts,
    pub(crate) claimed: ClaimFacts,
    pub(crate) calls: Vec<CallFacts>,
    /// The calls that it shared with other jobs.
    pub(crate) shared: Vec<TraceContext>,
    pub(crate) outcome: Option<Concluded>,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) ended: Instant,
    /// Why it is kept although its trace is not sampled.
    pub(crate) kept: Option<&'static str>,
}

/// What is known of a job from its claim on.
#[derive(Debug, Clone)]
pub(crate) struct JobFacts {
    pub(crate) id: JobId,
    pub(crate) entrypoint: Arc<str>,
    pub(crate) bytes: usize,
    pub(crate) attempt: u32,
    pub(crate) priority: i32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimFacts {
    /// From when it was due to the claim, by the database's clock.
    pub(crate) waited: Duration,
    pub(crate) asked: Instant,
    pub(crate) answered: Instant,
    /// Jobs of the claim.
    pub(crate) jobs: usize,
}

#[derive(Debug)]
pub(crate) struct Concluded {
    pub(crate) outcome: TracedOutcome,
    pub(crate) at: Instant,
    pub(crate) plugin: Option<TracedPlugin>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorded {
    pub(crate) ours: bool,
    pub(crate) at: Instant,
}

/// A turn whose host was lost: what the queue has of it.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) previous: Option<TraceContext>,
    pub(crate) job: JobId,
    pub(crate) entrypoint: Arc<str>,
    pub(crate) attempt: i64,
    pub(crate) worker: String,
    pub(crate) status: String,
    pub(crate) time: (SystemTime, SystemTime),
}

/// A call that several jobs shared. It is a trace of its own, linked with theirs.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) root: SpanId,
    pub(crate) clock: Clock,
    pub(crate) entrypoint: Arc<str>,
    pub(crate) jobs: usize,
    pub(crate) turns: Vec<TraceContext>,
    pub(crate) call: CallFacts,
}

/// A call of a guest.
#[derive(Debug)]
pub(crate) struct CallFacts {
    pub(crate) context: TraceContext,
    pub(crate) began: Option<Instant>,
    pub(crate) instantiated: Option<Instant>,
    pub(crate) is_fresh: bool,
    pub(crate) ended: Option<Instant>,
    pub(crate) reached: Vec<HostCall>,
    pub(crate) bytes: usize,
    /// What the guest reached beyond what is kept of one call.
    pub(crate) dropped: u32,
    /// It did not return.
    pub(crate) has_crashed: bool,
}

impl Finished {
    /// How many spans it becomes.
    pub(crate) fn spans(&self) -> usize {
        match self {
            // The wait, the claim, the turn and the record.
            Finished::Turn(turn) => 4 + turn.calls.iter().map(CallFacts::spans).sum::<usize>(),
            Finished::Batch(batch) => 1 + batch.call.spans(),
            Finished::Lost(_) => 1,
        }
    }

    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Finished::Turn(turn) => {
                let error = turn.outcome.as_ref().and_then(|concluded| concluded.outcome.error.as_ref());
                let error = error.map_or(0, |error| error.kind.len() + error.message.len());
                error + turn.calls.iter().map(|call| call.bytes).sum::<usize>()
            }
            Finished::Batch(batch) => batch.call.bytes + batch.turns.len() * size_of::<TraceContext>(),
            Finished::Lost(lost) => lost.entrypoint.len() + lost.worker.len(),
        }
    }
}

impl CallFacts {
    fn spans(&self) -> usize {
        2 + self.reached.len()
    }
}

//! What a run tells of itself while it is traced. Whoever runs jobs reports facts here, and knows
//! neither who listens nor what becomes of them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::host_call::HostCall;
use super::trace_context::{SpanId, TraceContext};

/// One call of a guest.
pub trait TracedCall: Send + Sync + Debug {
    /// The span of the call, which is the parent of everything that the guest reaches.
    fn context(&self) -> &TraceContext;

    /// A new id for something that the guest is about to reach.
    fn new_span(&self) -> SpanId;

    /// Whether others are told of the trace: servers, and whoever runs follow-up jobs.
    fn is_passed_on(&self) -> bool;

    /// What a follow-up job carries in its header `otel`, if its parent is this span.
    fn carrier(&self, span: SpanId) -> Value;

    /// An instance is sought or made from now on.
    fn begin(&self);

    /// The instance is there, and is called. `is_fresh`: nothing ran in it before.
    fn instantiated(&self, is_fresh: bool);

    /// The guest reached something. What comes after the end is dropped.
    fn reached(&self, call: HostCall);

    /// The call is over.
    fn end(&self);

    /// The call did not return: a trap, or a deadline.
    fn crashed(&self);

    /// A turn of a job that shares the call is kept, so the call is, too.
    fn keep(&self);
}

/// One turn of a job on this host, from its claim to the record of its outcome. It is over when it
/// is dropped.
pub trait TracedJob: Send + Sync + Debug {
    /// The span of the turn.
    fn context(&self) -> &TraceContext;

    /// A call for this job alone.
    fn call(&self) -> Arc<dyn TracedCall>;

    /// The job is one of several in this call.
    fn shares(&self, call: Arc<dyn TracedCall>);

    /// The turn ended so, after a run of this length. Called again when the outcome changes before
    /// it is recorded. `plugin` is only asked if anybody wants to know.
    fn conclude(&self, outcome: TracedOutcome, elapsed: Duration, plugin: &dyn Fn() -> TracedPlugin);

    /// The outcome was recorded at that moment, or `ours` is false and there was nothing of ours to
    /// record.
    fn recorded(&self, ours: bool, at: Instant);

    /// What the job's next turn is to be linked to: this one, if it is kept.
    fn as_previous(&self) -> Option<String>;
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedOutcome {
    /// What is done with the job: `complete`, `retry`, `hold`, ...
    pub action: &'static str,
    /// What went wrong, if it did.
    pub error: Option<TracedError>,
}

/// What went wrong in a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedError {
    /// As in the traceback: `Trap`, or the guest's own name for it.
    pub kind: String,
    pub message: String,
}

/// The plugin that ran a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedPlugin {
    pub name: Arc<str>,
    pub version: String,
    pub sha256: String,
}

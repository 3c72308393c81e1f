//! Identifies the run that a line of the log is about: a guest's message, or a denial.

use std::sync::Arc;

use super::hits::Hits;
use pgq_job::{JobId, SpanId, TraceContext, TraceId};

#[derive(Debug, Clone)]
pub(super) struct LogContext {
    pub(super) plugin: Arc<str>,
    pub(super) entrypoint: Arc<str>,
    /// The first job of a batch; 0 if there is none.
    pub(super) job: JobId,
    pub(super) batch: Option<usize>,
    /// The most bytes of lines to keep for the outcome.
    pub(super) kept: usize,
    /// Where the call is in a trace, if it is in one.
    pub(super) trace: Option<(TraceId, SpanId)>,
    /// Where denials are counted.
    pub(super) hits: Arc<Hits>,
}

/// What a line tells of a trace.
pub(super) fn ids(context: &TraceContext) -> (TraceId, SpanId) {
    (context.trace, context.span)
}

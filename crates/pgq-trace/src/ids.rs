//! New ids.

use pgq_job::{SpanId, TraceId};

/// Zero is no id.
pub(crate) fn new_trace() -> TraceId {
    TraceId(fastrand::u128(1..).to_be_bytes())
}

pub(crate) fn new_span() -> SpanId {
    SpanId(fastrand::u64(1..).to_be_bytes())
}

//! Collects the facts of one call of a guest.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

use pgq_job::{HostCall, SpanId, TraceContext, TracedCall};

use super::carrier;
use super::clock::Clock;
use super::finished::{Batch, CallFacts, Finished};
use super::ids;
use super::queue::{DROPPED, RUN_LIMIT};
use super::sink::Sink;

/// The most things that a guest reached of which one call keeps a span.
const MAX_REACHED: usize = 128;
/// The most bytes of their texts.
const MAX_BYTES: usize = 16 << 10;

pub(crate) struct CallTrace {
    context: TraceContext,
    baggage: Option<Arc<str>>,
    propagates: bool,
    facts: Mutex<Facts>,
    batch: Option<Shared>,
}

/// Of a call that several jobs share.
struct Shared {
    sink: Arc<Sink>,
    root: SpanId,
    clock: Clock,
    entrypoint: Arc<str>,
    jobs: usize,
    turns: Vec<TraceContext>,
    is_kept: AtomicBool,
}

#[derive(Default)]
struct Facts {
    began: Option<Instant>,
    instantiated: Option<Instant>,
    is_fresh: bool,
    ended: Option<Instant>,
    reached: Vec<HostCall>,
    bytes: usize,
    dropped: u32,
    has_crashed: bool,
}

impl CallTrace {
    /// A call within the turn of one job.
    pub(crate) fn of_turn(turn: &TraceContext, baggage: Option<Arc<str>>, propagates: bool) -> CallTrace {
        CallTrace {
            context: turn.with_span(ids::new_span()),
            baggage,
            propagates,
            facts: Mutex::default(),
            batch: None,
        }
    }

    /// A call that these turns share. It is a trace of its own, as none of theirs is that of the
    /// others, and is kept if one of them is.
    pub(crate) fn of_batch(sink: Arc<Sink>, entrypoint: Arc<str>, turns: Vec<TraceContext>) -> CallTrace {
        // Links are bounded, like all that grows with a batch.
        const MAX_LINKS: usize = 128;
        let sampled = turns.iter().any(|turn| turn.sampled);
        let context = TraceContext { trace: ids::new_trace(), span: ids::new_span(), sampled, state: None };
        let (propagates, jobs) = (sink.propagates, turns.len());
        let shared = Shared {
            sink,
            root: ids::new_span(),
            clock: Clock::now(),
            entrypoint,
            jobs,
            turns: turns.into_iter().take(MAX_LINKS).collect(),
            is_kept: AtomicBool::new(sampled),
        };
        CallTrace { context, baggage: None, propagates, facts: Mutex::default(), batch: Some(shared) }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take what is known. Nothing is added after that.
    pub(crate) fn take(&self) -> CallFacts {
        let mut facts = self.lock();
        let ended = *facts.ended.get_or_insert_with(Instant::now);
        CallFacts {
            context: self.context.clone(),
            began: facts.began,
            instantiated: facts.instantiated,
            is_fresh: facts.is_fresh,
            ended: Some(ended),
            reached: std::mem::take(&mut facts.reached),
            bytes: std::mem::take(&mut facts.bytes),
            dropped: facts.dropped,
            has_crashed: facts.has_crashed,
        }
    }
}

impl fmt::Debug for CallTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallTrace({})", self.context.traceparent())
    }
}

impl TracedCall for CallTrace {
    fn context(&self) -> &TraceContext {
        &self.context
    }

    fn new_span(&self) -> SpanId {
        ids::new_span()
    }

    fn is_passed_on(&self) -> bool {
        self.propagates
    }

    fn carrier(&self, span: SpanId) -> Value {
        carrier::write(&self.context.with_span(span), self.baggage.as_deref())
    }

    fn begin(&self) {
        self.lock().began.get_or_insert_with(Instant::now);
    }

    fn instantiated(&self, is_fresh: bool) {
        let mut facts = self.lock();
        (facts.instantiated, facts.is_fresh) = (Some(Instant::now()), is_fresh);
    }

    fn reached(&self, call: HostCall) {
        let (mut facts, bytes) = (self.lock(), call.what.bytes());
        if facts.ended.is_some() {
            return;
        }
        if facts.reached.len() == MAX_REACHED || facts.bytes + bytes > MAX_BYTES {
            facts.dropped = facts.dropped.saturating_add(1);
            drop(facts);
            metrics::counter!(DROPPED, "reason" => RUN_LIMIT).increment(1);
            return;
        }
        facts.bytes += bytes;
        facts.reached.push(call);
    }

    fn end(&self) {
        self.lock().ended.get_or_insert_with(Instant::now);
    }

    fn crashed(&self) {
        self.lock().has_crashed = true;
        // Its jobs run again, each alone, and may all succeed.
        if self.batch.as_ref().is_some_and(|shared| shared.sink.keep.failed) {
            self.keep();
        }
    }

    fn keep(&self) {
        if let Some(shared) = &self.batch {
            shared.is_kept.store(true, Ordering::Relaxed);
        }
    }
}

/// Of a batch: all of its turns are over.
impl Drop for CallTrace {
    fn drop(&mut self) {
        let Some(shared) = self.batch.take() else { return };
        let Shared { sink, root, clock, entrypoint, jobs, turns, is_kept } = shared;
        let call = self.take();
        if is_kept.into_inner() && call.began.is_some() {
            sink.take(Finished::Batch(Box::new(Batch { root, clock, entrypoint, jobs, turns, call })));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use pgq_job::Reached;

    use super::*;

    fn statement(bytes: usize) -> HostCall {
        let now = Instant::now();
        let what = Reached::Database { statement: Cow::Owned("x".repeat(bytes)), is_cut: false };
        HostCall { span: ids::new_span(), began: now, ended: now, what, error: None }
    }

    #[test]
    fn what_one_call_keeps_is_bounded_in_number_and_bytes() {
        let turn = TraceContext { trace: ids::new_trace(), span: ids::new_span(), sampled: true, state: None };
        let call = CallTrace::of_turn(&turn, None, true);
        (0..200).for_each(|_| call.reached(statement(1)));
        let facts = call.take();
        assert_eq!((facts.reached.len(), facts.dropped, facts.bytes), (MAX_REACHED, 72, MAX_REACHED));
        call.reached(statement(1));
        assert!(call.take().reached.is_empty(), "the call is over");
        let call = CallTrace::of_turn(&turn, None, true);
        (0..20).for_each(|_| call.reached(statement(1 << 10)));
        assert_eq!((call.take().reached.len(), call.take().dropped), (16, 4));
    }
}

//! Turns whose host was lost, and with it whatever it knew of them. The host that puts the job back
//! tells what the queue has: when the turn began, and when the loss was noticed.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use pgq_job::{JobId, TraceContext};

use super::finished::{Finished, Lost};
use super::spans::{Sketch, Spans, previous_turn};
use super::tracer::Tracer;

/// What the queue has of a turn that was lost.
#[derive(Debug, Clone)]
pub struct LostTurn<'t> {
    pub job: JobId,
    pub entrypoint: &'t str,
    pub attempt: i64,
    /// The worker that was lost.
    pub worker: String,
    /// What became of the job: a status of the queue.
    pub status: &'t str,
    pub claimed: SystemTime,
    pub noticed: SystemTime,
    /// The context of whoever created the job, that of the turn before, and that of this one, as they
    /// stand in its headers.
    pub parent: Option<&'t str>,
    pub previous: Option<&'t str>,
    pub turn: &'t str,
}

impl Tracer {
    /// Digits of which the database makes the ids of turns that were lost. `None`: they are not shown.
    pub fn seed(&self) -> Option<String> {
        (self.sink.keep.failed && self.sink.propagates).then(|| format!("{:032x}", fastrand::u128(..)))
    }

    /// Show a turn that was lost.
    pub fn lost(&self, turn: &LostTurn<'_>) {
        let parse = |text: Option<&str>| text.and_then(|text| TraceContext::parse(text, None));
        // What a producer wrote may be no context.
        let Some(context) = parse(Some(turn.turn)) else { return };
        let parent = parse(turn.parent);
        let sampled = self.sink.sampler.samples(context.trace, parent.as_ref());
        self.sink.take(Finished::Lost(Box::new(Lost {
            context: TraceContext { sampled, ..context },
            parent: parent.map(|parent| parent.span),
            previous: parse(turn.previous),
            job: turn.job,
            entrypoint: turn.entrypoint.into(),
            attempt: turn.attempt,
            worker: turn.worker.clone(),
            status: turn.status.to_owned(),
            time: (turn.claimed, turn.noticed),
        })));
    }
}

impl Spans {
    pub(super) fn lost_turn(&self, lost: Lost) -> SpanData {
        let Lost { context, parent, previous, job, entrypoint, attempt, worker, status, time } = lost;
        let why = format!("the worker {worker} was lost; the job is {status}");
        let mut attributes = vec![
            KeyValue::new("messaging.system", "pgqueuer"),
            KeyValue::new("messaging.destination.name", entrypoint.as_ref().to_owned()),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.message.id", job.to_string()),
            KeyValue::new("pgq_host.job.attempt", attempt),
            KeyValue::new("pgq_host.outcome", "lose"),
            KeyValue::new("pgq_host.worker.lost", worker),
            KeyValue::new("error.type", "WorkerLost"),
        ];
        attributes.extend((!context.sampled).then(|| KeyValue::new("pgq_host.kept", "failed")));
        let name = Cow::Owned(format!("process {entrypoint}"));
        let sketch = Sketch { id: context.span, parent, kind: SpanKind::Consumer, name, time, attributes };
        let mut span = SpanData { status: Status::error(why), ..self.span(&context, sketch) };
        span.parent_span_is_remote = parent.is_some();
        span.links.links.extend(previous.as_ref().map(previous_turn));
        span
    }
}

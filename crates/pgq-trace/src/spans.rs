//! From facts to spans, with the names and attributes of OpenTelemetry's semantic conventions for
//! messaging, HTTP and databases, as far as PgQueuer's tracing has them, in the same way.

use std::borrow::Cow;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{Event, Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use pgq_job::{HostCall, SpanId, TraceContext};

use super::clock::Clock;
use super::finished::{Batch, CallFacts, Finished, Turn};
use super::ids;
use super::reached;

/// Makes spans.
#[derive(Debug, Clone)]
pub(crate) struct Spans {
    scope: InstrumentationScope,
    /// Whether requests are shown with the paths of their URLs.
    paths: bool,
}

/// A span to be: what all have.
pub(super) struct Sketch {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    pub(super) time: (SystemTime, SystemTime),
    pub(super) attributes: Vec<KeyValue>,
}

impl Spans {
    pub(crate) fn new(paths: bool) -> Spans {
        let scope = InstrumentationScope::builder("pgq-host").with_version(env!("CARGO_PKG_VERSION")).build();
        Spans { scope, paths }
    }

    pub(crate) fn of(&self, finished: Finished, spans: &mut Vec<SpanData>) {
        match finished {
            Finished::Turn(turn) => self.turn(*turn, spans),
            Finished::Batch(batch) => self.batch(*batch, spans),
            Finished::Lost(lost) => spans.push(self.lost_turn(*lost)),
        }
    }

    fn turn(&self, turn: Turn, spans: &mut Vec<SpanData>) {
        let Turn { context, parent, previous, clock, job, claimed, calls, shared, outcome, recorded, ended, kept } =
            turn;
        let entrypoint: StringValue = Arc::clone(&job.entrypoint).into();
        let (id, top) = (job.id.to_string(), Some(context.span));
        let messaging = |operation: &'static str, kind: &'static str| {
            let mut attributes = vec![
                KeyValue::new("messaging.system", "pgqueuer"),
                KeyValue::new("messaging.destination.name", entrypoint.clone()),
                KeyValue::new("messaging.operation.name", operation),
                KeyValue::new("messaging.message.id", id.clone()),
            ];
            if !kind.is_empty() {
                attributes.push(KeyValue::new("messaging.operation.type", kind));
            }
            attributes
        };
        let named = |operation: &str| Cow::Owned(format!("{operation} {}", job.entrypoint));
        let (concluded, recorded_at) = (outcome.as_ref().map(|concluded| concluded.at), recorded.map(|done| done.at));
        let over = recorded_at.or(concluded).unwrap_or(ended);

        // Beside the turn where somebody created the job: the wait was over when the turn began.
        let wait = Sketch {
            id: ids::new_span(),
            parent: parent.or(top),
            kind: SpanKind::Internal,
            name: named("wait"),
            time: (clock.before(claimed.asked, claimed.waited), clock.time(claimed.asked)),
            attributes: messaging("wait", ""),
        };
        spans.push(self.span(&context, wait));

        let mut attributes = messaging("claim", "receive");
        attributes.push(KeyValue::new("messaging.batch.message_count", count(claimed.jobs)));
        let claim = Sketch {
            id: ids::new_span(),
            parent: top,
            kind: SpanKind::Client,
            name: named("claim"),
            time: (clock.time(claimed.asked), clock.time(claimed.answered)),
            attributes,
        };
        spans.push(self.span(&context, claim));

        for call in calls {
            self.call(call, &context.span, &clock, &job.entrypoint, spans);
        }

        let mut attributes = messaging("process", "process");
        attributes.extend([
            KeyValue::new("messaging.message.body.size", count(job.bytes)),
            KeyValue::new("pgq_host.job.attempt", i64::from(job.attempt)),
            KeyValue::new("pgq_host.job.priority", i64::from(job.priority)),
        ]);
        attributes.extend(kept.map(|reason| KeyValue::new("pgq_host.kept", reason)));
        let (mut status, mut events) = (Status::Unset, SpanEvents::default());
        if let Some(concluded) = &outcome {
            attributes.push(KeyValue::new("pgq_host.outcome", concluded.outcome.action));
            if let Some(plugin) = &concluded.plugin {
                attributes.extend([
                    KeyValue::new("pgq_host.plugin.name", plugin.name.as_ref().to_owned()),
                    KeyValue::new("pgq_host.plugin.version", plugin.version.clone()),
                    KeyValue::new("pgq_host.plugin.sha256", plugin.sha256.clone()),
                ]);
            }
            match &concluded.outcome.error {
                None => status = Status::Ok,
                Some(error) => {
                    attributes.push(KeyValue::new("error.type", error.kind.clone()));
                    status = Status::error(error.message.clone());
                    let exception = vec![
                        KeyValue::new("exception.type", error.kind.clone()),
                        KeyValue::new("exception.message", error.message.clone()),
                    ];
                    events.events.push(Event::new("exception", clock.time(concluded.at), exception, 0));
                }
            }
        }
        let is_lost = recorded.is_some_and(|recorded| !recorded.ours);
        if is_lost {
            status = Status::error("the job was cancelled or another worker's by the time its run ended");
            attributes.push(KeyValue::new("error.type", "lease_lost"));
        }
        let process = Sketch {
            id: context.span,
            parent,
            kind: SpanKind::Consumer,
            name: named("process"),
            time: (clock.time(claimed.asked), clock.time(over)),
            attributes,
        };
        let mut process = SpanData { status, events, ..self.span(&context, process) };
        process.parent_span_is_remote = parent.is_some();
        let mut links = SpanLinks::default();
        links.links.extend(previous.as_ref().map(previous_turn));
        links.links.extend(shared.iter().map(|batch| link(batch, "batch", false)));
        process.links = links;
        spans.push(process);

        // What never began to be recorded has no span of it.
        if let (Some(began), Some(concluded)) = (concluded, outcome) {
            let mut attributes = messaging(concluded.outcome.action, "settle");
            attributes.push(KeyValue::new("pgq_host.outcome.recorded", !is_lost && recorded.is_some()));
            let record = Sketch {
                id: ids::new_span(),
                parent: top,
                kind: SpanKind::Client,
                name: named("record"),
                time: (clock.time(began), clock.time(over.max(began))),
                attributes,
            };
            spans.push(self.span(&context, record));
        }
    }

    fn batch(&self, batch: Batch, spans: &mut Vec<SpanData>) {
        let Batch { root, clock, entrypoint, jobs, turns, call } = batch;
        let context = call.context.with_span(root);
        let (Some(began), Some(ended)) = (call.began, call.ended) else { return };
        let sketch = Sketch {
            id: root,
            parent: None,
            kind: SpanKind::Internal,
            name: Cow::Owned(format!("batch {entrypoint}")),
            time: (clock.time(began), clock.time(ended)),
            attributes: vec![
                KeyValue::new("messaging.system", "pgqueuer"),
                KeyValue::new("messaging.destination.name", entrypoint.as_ref().to_owned()),
                KeyValue::new("messaging.batch.message_count", count(jobs)),
            ],
        };
        let mut span = self.span(&context, sketch);
        let mut links = SpanLinks::default();
        links.dropped_count = u32::try_from(jobs - turns.len()).unwrap_or(u32::MAX);
        links.links.extend(turns.iter().map(|turn| link(turn, "job of the batch", false)));
        span.links = links;
        span.status = status_of(&call);
        spans.push(span);
        self.call(call, &root, &clock, &entrypoint, spans);
    }

    fn call(&self, call: CallFacts, parent: &SpanId, clock: &Clock, entrypoint: &str, spans: &mut Vec<SpanData>) {
        // A call that never began has nothing to tell.
        let (Some(began), Some(ended)) = (call.began, call.ended) else { return };
        let there = call.instantiated.unwrap_or(ended);
        let instance = Sketch {
            id: ids::new_span(),
            parent: Some(*parent),
            kind: SpanKind::Internal,
            name: "instance".into(),
            time: (clock.time(began), clock.time(there)),
            attributes: vec![KeyValue::new("pgq_host.instance.fresh", call.is_fresh || call.instantiated.is_none())],
        };
        spans.push(self.span(&call.context, instance));
        if call.instantiated.is_none() {
            return;
        }
        let mut attributes = vec![KeyValue::new("pgq_host.entrypoint", entrypoint.to_owned())];
        if call.dropped > 0 {
            attributes.push(KeyValue::new("pgq_host.calls.dropped", i64::from(call.dropped)));
        }
        let within = Sketch {
            id: call.context.span,
            parent: Some(*parent),
            kind: SpanKind::Internal,
            name: Cow::Owned(format!("call {entrypoint}")),
            time: (clock.time(there), clock.time(ended)),
            attributes,
        };
        spans.push(SpanData { status: status_of(&call), ..self.span(&call.context, within) });
        for reached in call.reached {
            spans.push(self.reached(&call.context, reached, clock));
        }
    }

    fn reached(&self, call: &TraceContext, reached: HostCall, clock: &Clock) -> SpanData {
        let HostCall { span, began, ended, what, error } = reached;
        let (kind, name, mut attributes) = reached::shown(what, error.as_deref(), self.paths);
        let failed = error.is_some();
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        let time = (clock.time(began), clock.time(ended));
        let sketch = Sketch { id: span, parent: Some(call.span), kind, name, time, attributes };
        SpanData { status: if failed { Status::error("") } else { Status::Unset }, ..self.span(call, sketch) }
    }

    pub(super) fn span(&self, of: &TraceContext, sketch: Sketch) -> SpanData {
        let Sketch { id, parent, kind, name, time: (start_time, end_time), attributes } = sketch;
        SpanData {
            span_context: span_context(&of.with_span(id), false),
            parent_span_id: parent
                .map_or(opentelemetry::SpanId::INVALID, |parent| opentelemetry::SpanId::from_bytes(parent.0)),
            parent_span_is_remote: false,
            span_kind: kind,
            name,
            start_time,
            end_time: end_time.max(start_time),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

pub(super) fn previous_turn(turn: &TraceContext) -> Link {
    link(turn, "previous turn", true)
}

fn link(context: &TraceContext, what: &'static str, is_remote: bool) -> Link {
    Link::new(span_context(context, is_remote), vec![KeyValue::new("pgq_host.link", what)], 0)
}

fn status_of(call: &CallFacts) -> Status {
    if call.has_crashed { Status::error("the call did not return") } else { Status::Unset }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn span_context(context: &TraceContext, is_remote: bool) -> SpanContext {
    let state = context.state.as_deref().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    SpanContext::new(
        opentelemetry::TraceId::from_bytes(context.trace.0),
        opentelemetry::SpanId::from_bytes(context.span.0),
        if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
        is_remote,
        state,
    )
}

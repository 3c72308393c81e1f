//! A span as a collector got it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;

#[derive(Debug, Clone, serde::Serialize)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of a trace.
    pub parent: String,
    pub kind: &'static str,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
    pub links: Vec<Link>,
    /// `unset`, `ok` or `error`.
    pub status: &'static str,
    pub message: String,
    pub events: Vec<String>,
    pub sampled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Link {
    pub trace: String,
    pub span: String,
    /// What we say of it.
    pub what: String,
}

impl Span {
    pub(crate) fn all_of(request: ExportTraceServiceRequest) -> Vec<Span> {
        let mut spans = Vec::new();
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let resource = texts(resource);
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let link = |link: opentelemetry_proto::tonic::trace::v1::span::Link| Link {
                    trace: hex(&link.trace_id),
                    span: hex(&link.span_id),
                    what: texts(link.attributes).remove("pgq_host.link").unwrap_or_default(),
                };
                let status = span.status.unwrap_or_default();
                spans.push(Span {
                    service: resource.get("service.name").cloned().unwrap_or_default(),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    kind: ["unspecified", "internal", "server", "client", "producer", "consumer"]
                        [usize::try_from(span.kind).unwrap()],
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    attributes: texts(span.attributes),
                    links: span.links.into_iter().map(link).collect(),
                    status: ["unset", "ok", "error"][usize::try_from(status.code).unwrap()],
                    message: status.message,
                    events: span.events.into_iter().map(|event| event.name).collect(),
                    sampled: span.flags & 1 == 1,
                });
            }
        }
        spans
    }

    /// An attribute, or nothing.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: KeyValue| (pair.key, pair.value.and_then(|value| value.value).map(text).unwrap_or_default());
    attributes.into_iter().map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! How a context travels with a job: in its headers, as PgQueuer's OpenTelemetry tracing writes
//! them, `{"otel": {"traceparent": ..., "tracestate": ..., "baggage": ...}}`.
//!
//! A turn that is put back leaves its own context beside that, under a key of ours, so that the
//! next one can be linked to it.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use pgq_job::TraceContext;

/// The most bytes of baggage that are passed on: what the recommendation asks everybody to carry.
const MAX_BAGGAGE_BYTES: usize = 8 << 10;

/// What a job brings with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// The span that created the job.
    pub(crate) parent: Option<TraceContext>,
    pub(crate) baggage: Option<Arc<str>>,
    /// The turn before.
    pub(crate) previous: Option<TraceContext>,
}

#[derive(Default, Deserialize)]
struct Headers<'h> {
    #[serde(borrow)]
    otel: Option<&'h RawValue>,
    #[serde(borrow, rename = "pgq-host")]
    own: Option<&'h RawValue>,
}

/// What no propagator writes is left alone.
#[derive(Default, Deserialize)]
struct Otel<'h> {
    #[serde(borrow)]
    traceparent: Option<Cow<'h, str>>,
    #[serde(borrow)]
    tracestate: Option<Cow<'h, str>>,
    #[serde(borrow)]
    baggage: Option<Cow<'h, str>>,
}

#[derive(Default, Deserialize)]
struct Own<'h> {
    #[serde(borrow)]
    previous: Option<Cow<'h, str>>,
}

/// Read a job's headers. What cannot be read is nothing.
pub(crate) fn read(headers: Option<&str>) -> Carried {
    // Most jobs carry nothing, and need no parser to say so.
    let Some(text) = headers.filter(|text| text.contains("\"otel\"") || text.contains("\"pgq-host\"")) else {
        return Carried::default();
    };
    let headers: Headers<'_> = serde_json::from_str(text).unwrap_or_default();
    let otel = headers.otel.and_then(|raw| serde_json::from_str::<Otel<'_>>(raw.get()).ok()).unwrap_or_default();
    let own = headers.own.and_then(|raw| serde_json::from_str::<Own<'_>>(raw.get()).ok()).unwrap_or_default();
    let is_fit = |baggage: &Cow<'_, str>| !baggage.is_empty() && baggage.len() <= MAX_BAGGAGE_BYTES;
    Carried {
        parent: otel.traceparent.and_then(|parent| TraceContext::parse(&parent, otel.tracestate.as_deref())),
        baggage: otel.baggage.filter(is_fit).map(|baggage| Arc::from(&*baggage)),
        previous: own.previous.and_then(|previous| TraceContext::parse(&previous, None)),
    }
}

/// What a job carries whose parent is this span.
pub(crate) fn write(context: &TraceContext, baggage: Option<&str>) -> Value {
    let mut otel = Map::new();
    otel.insert("traceparent".into(), context.traceparent().into());
    otel.extend(context.state.as_deref().map(|state| ("tracestate".to_owned(), state.into())));
    otel.extend(baggage.map(|baggage| ("baggage".to_owned(), baggage.into())));
    Value::Object(otel)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read_back() {
        let context = TraceContext::parse(PARENT, Some("a=1")).expect("valid");
        let headers = format!(
            "{{\"otel\": {}, \"other\": [1], \"pgq-host\": {{\"previous\": {PARENT:?}}}}}",
            write(&context, Some("user=7"))
        );
        let carried = read(Some(&headers));
        assert_eq!(carried.parent.as_ref(), Some(&context));
        assert_eq!(carried.baggage.as_deref(), Some("user=7"));
        assert_eq!(carried.previous.map(|previous| previous.traceparent()).as_deref(), Some(PARENT));
    }

    #[test]
    fn what_producers_may_write_instead_is_nothing() {
        let deep = format!("{{\"otel\": {}{}}}", "[".repeat(50_000), "]".repeat(50_000));
        for headers in [
            "null",
            "\"otel\"",
            "[\"otel\"]",
            "{\"otel\": null}",
            "{\"otel\": \"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\"}",
            "{\"otel\": {\"traceparent\": 7}}",
            "{\"otel\": {\"traceparent\": \"no\"}, \"pgq-host\": 1}",
            "{\"otel\": {",
            &deep,
        ] {
            assert_eq!(read(Some(headers)), Carried::default(), "{}", &headers[..headers.len().min(60)]);
        }
        assert_eq!(read(None), Carried::default());
    }
}

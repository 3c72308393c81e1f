//! What a trace shows of something that a guest reached.

use std::borrow::Cow;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use pgq_job::Reached;

use super::statement_text;

/// Kind, name and attributes of its span. `paths`: whether URLs are shown with their paths.
pub(crate) fn shown(what: Reached, error: Option<&str>, paths: bool) -> (SpanKind, Cow<'static, str>, Vec<KeyValue>) {
    match what {
        Reached::Server { method, scheme, host, port, path, has_query, status } => {
            let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
            let is_known = known.contains(&&*method);
            let mut attributes = vec![
                KeyValue::new("http.request.method", if is_known { method.clone() } else { "_OTHER".to_owned() }),
                KeyValue::new("url.scheme", scheme),
                KeyValue::new("server.address", host.clone()),
                KeyValue::new("server.port", i64::from(port)),
            ];
            if paths {
                let query = if has_query { "?REDACTED" } else { "" };
                attributes.push(KeyValue::new("url.full", format!("{scheme}://{host}:{port}{path}{query}")));
            }
            attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
            (SpanKind::Client, if is_known { method.into() } else { Cow::Borrowed("HTTP") }, attributes)
        }
        Reached::Database { statement, is_cut } => {
            let shown = statement_text::shown(&statement, is_cut);
            let mut attributes = vec![
                KeyValue::new("db.system.name", "postgresql"),
                KeyValue::new("db.operation.name", shown.operation),
                KeyValue::new("db.query.summary", shown.summary.clone()),
                KeyValue::new("db.query.text", shown.text),
            ];
            if let Some(code) = error.filter(|error| error.len() == 5) {
                attributes.push(KeyValue::new("db.response.status_code", code.to_owned()));
            }
            (SpanKind::Client, Cow::Owned(shown.summary), attributes)
        }
        Reached::Queue { entrypoint } => {
            let attributes = vec![
                KeyValue::new("messaging.system", "pgqueuer"),
                KeyValue::new("messaging.destination.name", entrypoint.clone()),
                KeyValue::new("messaging.operation.name", "create"),
                KeyValue::new("messaging.operation.type", "create"),
            ];
            (SpanKind::Producer, Cow::Owned(format!("create {entrypoint}")), attributes)
        }
    }
}

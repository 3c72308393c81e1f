//! Who sends the spans.

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_sdk::Resource;

const NAME: Key = Key::from_static_str("service.name");

/// What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, and what is known beside that.
pub(crate) fn resource(instance: &str) -> Resource {
    let told = Resource::builder().build();
    let is_named = |name: &Value| !name.as_str().is_empty() && !name.as_str().starts_with("unknown_service");
    let name = told.get(&NAME).filter(is_named).unwrap_or_else(|| "pgq-host".into());
    let defaults = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance.to_owned()),
        ("process.pid", std::process::id().to_string()),
    ];
    let missing = defaults.into_iter().filter(|(key, _)| told.get(&Key::from_static_str(key)).is_none());
    let missing: Vec<KeyValue> = missing.map(|(key, value)| KeyValue::new(key, value)).collect();
    Resource::builder().with_attributes(missing).with_attribute(KeyValue::new(NAME, name)).build()
}

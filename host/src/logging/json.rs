//! Formats an event as one JSON object on one line, with numbers, booleans and lists in their own
//! types.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::fields::MAX_BYTES;
use super::list::LISTS;
use pgq_engine::printable::is_unfit;

/// `timestamp`, `level` and `target`, then `message` and the fields in the order given.
#[derive(Debug)]
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut object = Object::new(event.metadata().level())?;
        let mut fields = JsonVisitor { object: Object::default(), target: None };
        event.record(&mut fields);
        object.text("target", fields.target.as_deref().unwrap_or(event.metadata().target()))?;
        writeln!(writer, "{}{}}}", object.0, fields.object.0)
    }
}

/// The members so far, without the closing brace.
#[derive(Debug, Default)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn new(level: &tracing::Level) -> Result<Object, fmt::Error> {
        let mut object = Object("{\"timestamp\":\"".into());
        SystemTime.format_time(&mut Writer::new(&mut object.0))?;
        write!(object.0, "\",\"level\":\"{level}\"")?;
        Ok(object)
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> fmt::Result {
        self.name(name)?;
        string(&mut self.0, value)
    }

    fn plain(&mut self, name: &str, value: impl fmt::Display) -> fmt::Result {
        self.name(name)?;
        write!(self.0, "{value}")
    }

    fn name(&mut self, name: &str) -> fmt::Result {
        self.0.push(',');
        string(&mut self.0, name)?;
        self.0.write_char(':')
    }

    pub(super) fn line(self) -> String {
        self.0 + "}\n"
    }
}

/// As JSON requires, and without characters that a terminal would act on.
fn string(to: &mut String, text: &str) -> fmt::Result {
    let mut end = text.len().min(MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    to.push('"');
    for c in text[..end].chars() {
        match c {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            '\n' => to.push_str("\\n"),
            '\r' => to.push_str("\\r"),
            '\t' => to.push_str("\\t"),
            // All of these are in the basic multilingual plane.
            c if is_unfit(c) => write!(to, "\\u{:04x}", u32::from(c))?,
            c => to.push(c),
        }
    }
    if end < text.len() {
        write!(to, "... [{} bytes more]", text.len() - end)?;
    }
    to.push('"');
    Ok(())
}

/// Escapes the characters in JSON strings that a terminal would act on. The C0 controls are already
/// escaped.
fn ascii(json: &str) -> String {
    json.chars().map(|c| if is_unfit(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

struct JsonVisitor {
    object: Object,
    target: Option<String>,
}

// Writing to a string never fails.
impl Visit for JsonVisitor {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = if value.is_finite() {
            self.object.plain(field.name(), value)
        } else {
            self.object.plain(field.name(), "null")
        };
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        let _ = self.object.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let _ = self.object.plain(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        let _ = self.object.plain(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        let _ = self.object.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        let _ = self.object.plain(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            name if name.starts_with("log.") => {}
            name => {
                let _ = self.object.text(name, value);
            }
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        let _ = match field.name() {
            // Written by `list`, so it is already JSON.
            name if LISTS.contains(&name) => self.object.plain(name, ascii(&value)),
            name => self.object.text(name, &value),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_those_that_a_parser_reads_back() {
        for text in ["", "plain", "a\"b\\c\n\r\t\0\x1b\x7f\u{9b}\u{2028}\u{202e}\u{1F600}ä"] {
            let mut json = String::new();
            string(&mut json, text).expect("written");
            assert!(!json.contains(is_unfit), "{json:?}");
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), text);
        }
        let mut json = String::new();
        string(&mut json, &"ä".repeat(MAX_BYTES)).expect("written");
        assert!(
            serde_json::from_str::<String>(&json).expect("JSON").ends_with(&format!("ä... [{MAX_BYTES} bytes more]"))
        );
    }
}

//! What a plugin declares, as the JSON text that `registrar.declare` takes. One function of the host
//! in place of twenty: each one that a component imports is linked into every new instance.
//!
//! Written by hand: a serializer would be a fifth of a small component, and compiling is most of the
//! time until a new version is served.

use std::fmt::Write as _;

/// An object that is being written. What is not set has the host's default.
#[derive(Debug)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        string(&mut self.0, key);
        self.0.push(':');
        &mut self.0
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        string(self.key(key), value);
        self
    }

    /// A number, if it is set.
    pub(crate) fn number(mut self, key: &str, value: Option<impl Into<u64>>) -> Self {
        if let Some(value) = value {
            let _ = write!(self.key(key), "{}", value.into());
        }
        self
    }

    /// A factor to nine decimals. Writing any number with a point would take more code than all the
    /// rest of a small component.
    pub(crate) fn factor(mut self, key: &str, value: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the host refuses what is out of range"
        )]
        let billionths = (value * 1e9).round() as u64;
        let _ = write!(self.key(key), "{billionths}e-9");
        self
    }

    pub(crate) fn texts(self, key: &str, values: &[impl AsRef<str>]) -> Self {
        self.list(key, values.iter(), |json, value| string(json, value.as_ref()))
    }

    pub(crate) fn object(mut self, key: &str, value: Object) -> Self {
        self.key(key).push_str(&value.finish());
        self
    }

    pub(crate) fn objects(self, key: &str, values: impl Iterator<Item = Object>) -> Self {
        self.list(key, values, |json, value| json.push_str(&value.finish()))
    }

    fn list<T>(mut self, key: &str, values: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) -> Self {
        let json = self.key(key);
        json.push('[');
        for (n, value) in values.enumerate() {
            if n > 0 {
                json.push(',');
            }
            write(json, value);
        }
        json.push(']');
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                json.push('\\');
                json.push(c);
            }
            c if c.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json_whatever_the_values() {
        let texts = ["plain", "\"\\\n\u{7f}\u{85}\0", "ä\u{1f600}"];
        let json = Object::new()
            .text("name", texts[1])
            .number("some", Some(7_u32))
            .factor("factor", 1.05)
            .factor("not", f64::NAN)
            .number("none", None::<u32>)
            .texts("texts", &texts)
            .object("empty", Object::new())
            .objects("objects", [Object::new().text("a", "b"), Object::new()].into_iter())
            .finish();
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let expected = serde_json::json!({
            "name": texts[1], "some": 7, "factor": 1.05, "not": 0.0, "texts": texts, "empty": {}, "objects": [{"a": "b"}, {}],
        });
        assert_eq!(read, expected, "{json}");
    }
}

//! Bytes of a producer or a handler, shown as what they are: JSON, text, hexadecimal digits, or
//! sealed.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

/// A payload or an output, perhaps cut.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Content {
    /// How many bytes are stored.
    pub bytes: u64,
    /// Whether only the first of them are here.
    pub cut: bool,
    /// Whether something in it is not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// One of `json`, `text`, `hex` and `sealed`.
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    pub shape: Shape,
}

/// What the bytes are, judged by themselves.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// As stored, to the last digit.
    Json(Box<RawValue>),
    Text(String),
    /// Two digits for each byte.
    Hex(String),
    /// An envelope, of which nothing but this is shown.
    Sealed(SealedWith),
}

/// What an envelope says of itself. Nobody who looks at jobs has checked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealedWith {
    /// The id of the key.
    pub key: String,
}

impl Content {
    /// The first bytes of so many.
    pub(crate) fn of(first: &[u8], bytes: i64) -> Content {
        let bytes = u64::try_from(bytes).unwrap_or_default();
        let cut = bytes > first.len() as u64;
        Content { bytes, cut, masked: false, shape: Shape::of(first, cut) }
    }
}

impl Shape {
    fn of(bytes: &[u8], cut: bool) -> Shape {
        if let Some(key) = pgq_sealing::sealed_by(bytes) {
            return Shape::Sealed(SealedWith { key });
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            // The cut may have gone through a character.
            Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
            Err(_) => None,
        };
        let is_text = |text: &&str| !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        match text.filter(is_text) {
            Some(text) if !cut && let Ok(json) = serde_json::from_str(text) => Shape::Json(json),
            Some(text) => Shape::Text(text.to_owned()),
            None => Shape::Hex(hex(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut digits, byte| {
        // Writing to a string never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(first: &[u8], bytes: i64) -> String {
        serde_json::to_string(&Content::of(first, bytes)).expect("JSON")
    }

    #[test]
    fn content_is_shown_as_what_it_is() {
        let number = format!("1{}", "0".repeat(30));
        assert_eq!(
            shown(number.as_bytes(), 31),
            format!("{{\"bytes\":31,\"cut\":false,\"json\":{number}}}"),
            "to the last digit"
        );
        assert_eq!(shown(b"{\"a\": [1]}", 10), r#"{"bytes":10,"cut":false,"json":{"a": [1]}}"#);
        assert_eq!(shown("größe\n".as_bytes(), 8), "{\"bytes\":8,\"cut\":false,\"text\":\"größe\\n\"}");
        assert_eq!(shown(b"a\x1b[2J", 5), r#"{"bytes":5,"cut":false,"hex":"611b5b324a"}"#);
        assert_eq!(shown(&[0xff, 0], 2), r#"{"bytes":2,"cut":false,"hex":"ff00"}"#);
        assert_eq!(shown(b"", 0), r#"{"bytes":0,"cut":false,"text":""}"#);
    }

    #[test]
    fn of_an_envelope_nothing_is_shown_but_its_key() {
        // {"alg":"A256KW","enc":"A256GCM","kid":"k","typ":"pgq-payload+jwe","aud":"e"}
        let header =
            "eyJhbGciOiJBMjU2S1ciLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiayIsInR5cCI6InBncS1wYXlsb2FkK2p3ZSIsImF1ZCI6ImUifQ";
        let envelope = format!("{header}.wrapped.nonce.content.tag");
        let whole = i64::try_from(envelope.len()).expect("short");
        assert_eq!(
            shown(envelope.as_bytes(), whole),
            format!(r#"{{"bytes":{whole},"cut":false,"sealed":{{"key":"k"}}}}"#)
        );
        assert_eq!(shown(&envelope.as_bytes()[..120], 9_000), r#"{"bytes":9000,"cut":true,"sealed":{"key":"k"}}"#);
    }

    #[test]
    fn what_is_cut_is_no_json_and_may_end_within_a_character() {
        assert_eq!(shown(b"12", 5), r#"{"bytes":5,"cut":true,"text":"12"}"#);
        assert_eq!(shown(&"gr\u{f6}".as_bytes()[..3], 8), r#"{"bytes":8,"cut":true,"text":"gr"}"#);
    }
}

//! Fields of payloads and outputs that nobody is to see who looks at jobs.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};

use super::content::{Content, Shape};

/// What stands where a field was.
const MASKED: &str = "(masked)";
/// What stands where fields cannot be told from the rest.
const WITHHELD: &str = "(withheld: it is too long, or no whole JSON, and so its fields cannot be masked)";
/// Steps of a pointer.
const MAX_DEPTH: usize = 32;

/// A JSON pointer (RFC 6901), like `/customer/email`. A step `*` is each key or place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// Which fields, of all entrypoints and of single ones.
#[derive(Debug, Clone, Default)]
pub struct Masks {
    pub all: Vec<Pointer>,
    pub entrypoints: BTreeMap<String, Vec<Pointer>>,
}

impl std::str::FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Pointer, String> {
        let wrong = |why: &str| format!("{text:?} is no JSON pointer ({why}); write one like /customer/email");
        let steps: Vec<&str> = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').collect(),
            None if text.is_empty() => Vec::new(),
            None => return Err(wrong("it begins with no slash")),
        };
        if steps.len() > MAX_DEPTH {
            return Err(wrong("it is too deep"));
        }
        if steps.iter().any(|step| step.replace("~0", "").replace("~1", "").contains('~')) {
            return Err(wrong("`~` is written ~0"));
        }
        Ok(Pointer(steps.into_iter().map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }
}

impl Masks {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.entrypoints.is_empty()
    }

    fn of(&self, entrypoint: &str) -> Vec<&[String]> {
        let own = self.entrypoints.get(entrypoint).into_iter().flatten();
        self.all.iter().chain(own).map(|pointer| &pointer.0[..]).collect()
    }

    /// Mask what is shown of a job of this entrypoint.
    pub(crate) fn hide(&self, entrypoint: &str, content: &mut Content) {
        let paths = self.of(entrypoint);
        if paths.is_empty() {
            return;
        }
        let hidden = match &content.shape {
            Shape::Json(json) => masked(json, &paths).map(Shape::Json),
            Shape::Text(text) => is_json(text.as_bytes()).then(|| Shape::Text(WITHHELD.into())),
            Shape::Hex(digits) => is_json(&start(digits)).then(|| Shape::Text(WITHHELD.into())),
            // It shows nothing of its fields.
            Shape::Sealed(_) => None,
        };
        if let Some(shape) = hidden {
            content.shape = shape;
            content.masked = true;
        }
    }

    /// The same for a whole payload.
    pub(super) fn hide_bytes(&self, entrypoint: &str, bytes: Vec<u8>) -> Vec<u8> {
        let paths = self.of(entrypoint);
        if paths.is_empty() {
            return bytes;
        }
        match serde_json::from_slice::<Box<RawValue>>(&bytes) {
            Ok(json) => masked(&json, &paths).map_or(bytes, |json| json.get().as_bytes().to_vec()),
            Err(_) if is_json(&bytes) => WITHHELD.into(),
            Err(_) => bytes,
        }
    }
}

/// Whether bytes begin as an object or an array does: text of any other kind has no fields.
fn is_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The first bytes of hexadecimal digits.
fn start(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2).take(256);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The JSON without these fields, everything else being as it was. `None`: it has none of them.
fn masked(json: &RawValue, paths: &[&[String]]) -> Option<Box<RawValue>> {
    if paths.iter().any(|path| path.is_empty()) {
        return to_raw_value(MASKED).ok();
    }
    let below = |key: &str| -> Vec<&[String]> {
        let leads = |path: &&[String]| path.first().is_some_and(|step| step == "*" || step == key);
        paths.iter().copied().filter(leads).map(|path| &path[1..]).collect()
    };
    let mut found = false;
    let mut hide = |key: &str, value: Box<RawValue>| {
        let paths = below(key);
        let hidden = if paths.is_empty() { None } else { masked(&value, &paths) };
        found |= hidden.is_some();
        hidden.unwrap_or(value)
    };
    let text = match json.get().bytes().next()? {
        b'{' => {
            let Entries(entries) = serde_json::from_str(json.get()).ok()?;
            let entry = |(key, value): (String, Box<RawValue>)| {
                let value = hide(&key, value);
                Some(format!("{}:{}", serde_json::to_string(&key).ok()?, value.get()))
            };
            format!("{{{}}}", entries.into_iter().map(entry).collect::<Option<Vec<_>>>()?.join(","))
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(json.get()).ok()?;
            let items = items.into_iter().enumerate().map(|(place, item)| hide(&place.to_string(), item));
            format!("[{}]", items.map(|item| item.get().to_owned()).collect::<Vec<_>>().join(","))
        }
        _ => return None,
    };
    if found { RawValue::from_string(text).ok() } else { None }
}

/// An object in its order, with keys that are there twice.
struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Entries, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(pointers: &[&str]) -> Masks {
        let all = pointers.iter().map(|pointer| pointer.parse().expect("a pointer")).collect();
        Masks { all, ..Masks::default() }
    }

    fn hidden(pointers: &[&str], payload: &[u8]) -> String {
        let whole = masks(pointers).hide_bytes("e", payload.to_vec());
        let mut content = Content::of(payload, i64::try_from(payload.len()).expect("short"));
        masks(pointers).hide("e", &mut content);
        let shown = match &content.shape {
            Shape::Json(json) => json.get().to_owned(),
            Shape::Text(text) | Shape::Hex(text) => text.clone(),
            Shape::Sealed(sealed) => sealed.key.clone(),
        };
        if let Ok(whole) = String::from_utf8(whole) {
            assert!(whole == shown || !content.masked, "both ways show the same");
        }
        shown
    }

    #[test]
    fn a_field_is_masked_and_all_else_is_as_it_was() {
        let payload = br#"{"id": 12345678901234567890123, "customer": {"email": "a@b", "name": "A"}, "x": [1.0]}"#;
        assert_eq!(
            hidden(&["/customer/email"], payload),
            r#"{"id":12345678901234567890123,"customer":{"email":"(masked)","name":"A"},"x":[1.0]}"#
        );
        assert_eq!(hidden(&["/customer"], br#"{"customer":{"email":"a@b"}}"#), r#"{"customer":"(masked)"}"#);
        assert_eq!(
            hidden(&["/cards/*/number"], br#"{"cards":[{"number":1},{"number":2}]}"#),
            r#"{"cards":[{"number":"(masked)"},{"number":"(masked)"}]}"#
        );
        assert_eq!(hidden(&["/1"], b"[1,2]"), r#"[1,"(masked)"]"#);
        assert_eq!(hidden(&["/a~1b/c~0d"], br#"{"a/b":{"c~d":1}}"#), r#"{"a/b":{"c~d":"(masked)"}}"#);
        assert_eq!(
            hidden(&["/a"], br#"{"a":1,"\u0061":2}"#),
            r#"{"a":"(masked)","a":"(masked)"}"#,
            "however it is written"
        );
        assert_eq!(hidden(&[""], b"7"), r#""(masked)""#);
        for other in [&b"{\"b\": 1}"[..], b"7", b"plain text"] {
            assert_eq!(hidden(&["/a"], other).as_bytes(), other);
        }
    }

    #[test]
    fn what_cannot_be_masked_is_withheld() {
        for broken in [&b"{\"a\": 1"[..], b" [1", b"{\"a\": \"\x00\"", b"{\"a\":1}\n{\"a\":2}"] {
            assert_eq!(hidden(&["/a"], broken), WITHHELD);
        }
        let mut cut = Content::of(b"{\"a\": 1", 1_000_000);
        masks(&["/a"]).hide("e", &mut cut);
        assert!(cut.masked && matches!(cut.shape, Shape::Text(text) if text == WITHHELD));
    }

    #[test]
    fn an_entrypoint_has_masks_of_its_own() {
        let own = BTreeMap::from([("pay".to_owned(), vec!["/iban".parse().expect("a pointer")])]);
        let masks = Masks { all: Vec::new(), entrypoints: own };
        let payload = b"{\"iban\":1}".to_vec();
        assert_eq!(masks.hide_bytes("other", payload.clone()), payload);
        assert_eq!(masks.hide_bytes("pay", payload), b"{\"iban\":\"(masked)\"}");
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for bad in ["email", "/a~2", "/~", &"/a".repeat(MAX_DEPTH + 1)] {
            assert!(bad.parse::<Pointer>().expect_err(bad).contains("/customer/email"));
        }
    }
}

//! Texts between the host and a database of any encoding. The host's own texts (tracebacks,
//! announcements, versions of plugins) pass through [`Charset`]: a character that the encoding
//! lacks is replaced, and the outcome is recorded all the same. Texts of a producer or a handler
//! (names, keys, headers, payloads) are never changed; one that does not fit is refused.

use std::borrow::Cow;

use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef, Postgres};
use sqlx::{Decode, Row as _, Type};

/// A text of a row. In a database with the encoding SQL_ASCII, a text is bytes; those that are not
/// UTF-8 become U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lossy(pub(super) String);

impl From<Lossy> for String {
    fn from(text: Lossy) -> String {
        text.0
    }
}

/// The characters that the encoding of a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Charset {
    /// UTF8, or SQL_ASCII, where a text is bytes.
    #[default]
    Any,
    /// LATIN1: the first 256 characters.
    Latin1,
    /// Another encoding, of which only ASCII is known here.
    Ascii,
}

/// The host's texts are cut after this many bytes. Nobody reads more, and PostgreSQL takes 256 MiB.
const MOST_BYTES: usize = 64 << 10;

impl Charset {
    /// Of this `server_encoding`.
    pub(super) fn of(encoding: &str) -> Charset {
        match encoding {
            "UTF8" | "SQL_ASCII" => Charset::Any,
            "LATIN1" => Charset::Latin1,
            _ => Charset::Ascii,
        }
    }

    fn has(self, c: char) -> bool {
        match self {
            Charset::Any => c != '\0',
            Charset::Latin1 => c != '\0' && u32::from(c) < 0x100,
            Charset::Ascii => c != '\0' && c.is_ascii(),
        }
    }

    /// The text made fit: characters that the encoding lacks become their code points, and a long
    /// text is cut.
    pub(super) fn fit(self, text: &str) -> Cow<'_, str> {
        let end = text.floor_char_boundary(MOST_BYTES);
        let (begin, rest) = text.split_at(end);
        if rest.is_empty() && begin.chars().all(|c| self.has(c)) {
            return Cow::Borrowed(text);
        }
        let mut fit = String::with_capacity(begin.len());
        for c in begin.chars() {
            match c {
                c if self.has(c) => fit.push(c),
                '\0' if self.has('\u{FFFD}') => fit.push('\u{FFFD}'),
                c => fit += &format!("\\u{{{:x}}}", u32::from(c)),
            }
        }
        if !rest.is_empty() {
            fit += &format!(" ... ({} bytes more)", rest.len());
        }
        Cow::Owned(fit)
    }

    /// A name to search for. One that the encoding lacks becomes a name that no row has; as it is,
    /// it would fail the whole statement.
    pub(super) fn name(self, name: &str) -> Cow<'_, str> {
        match self {
            Charset::Latin1 => self.fit(name),
            Charset::Any | Charset::Ascii => Cow::Borrowed(name),
        }
    }

    /// JSON of the host's, with every text in it made fit.
    pub(super) fn json(self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fit(text).into(),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(pairs) => {
                pairs.iter().map(|(name, value)| (self.fit(name).into_owned(), self.json(value))).collect()
            }
            other => other.clone(),
        }
    }
}

/// The text of a column.
pub(super) fn text(row: &PgRow, column: &str) -> sqlx::Result<String> {
    Ok(row.try_get::<Lossy, _>(column)?.0)
}

/// The text of a column that may be NULL.
pub(super) fn optional_text(row: &PgRow, column: &str) -> sqlx::Result<Option<String>> {
    Ok(row.try_get::<Option<Lossy>, _>(column)?.map(|text| text.0))
}

impl Type<Postgres> for Lossy {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(found: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(found) || <Vec<u8> as Type<Postgres>>::compatible(found)
    }
}

impl PgHasArrayType for Lossy {
    fn array_type_info() -> PgTypeInfo {
        <&str as PgHasArrayType>::array_type_info()
    }
}

impl Decode<'_, Postgres> for Lossy {
    fn decode(value: PgValueRef<'_>) -> Result<Lossy, BoxDynError> {
        Ok(Lossy(String::from_utf8_lossy(value.as_bytes()?).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_cannot_hold_is_written_out_and_the_rest_stays() {
        let text = "caf\u{e9} \u{2603}\0";
        assert_eq!(Charset::of("UTF8").fit(text), "caf\u{e9} \u{2603}\u{FFFD}");
        assert_eq!(Charset::of("LATIN1").fit(text), "caf\u{e9} \\u{2603}\\u{0}");
        assert_eq!(Charset::of("EUC_JP").fit(text), "caf\\u{e9} \\u{2603}\\u{0}");
        assert!(matches!(Charset::Latin1.fit("plain"), Cow::Borrowed("plain")));
        let name = "\u{2603}";
        assert_eq!(
            ["UTF8", "LATIN1", "EUC_JP"].map(|encoding| Charset::of(encoding).name(name) == name),
            [true, false, true]
        );
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let text = "\u{20ac}".repeat(MOST_BYTES);
        let fit = Charset::Any.fit(&text);
        assert!(
            fit.len() < MOST_BYTES + 40
                && fit.ends_with(&format!(" ... ({} bytes more)", 3 * MOST_BYTES - MOST_BYTES / 3 * 3)),
            "{}",
            fit.len()
        );
    }

    #[test]
    fn json_is_made_to_fit_down_to_its_keys() {
        let value = serde_json::json!({ "a\0": ["b\0", 1, null, { "c": "d\0" }] });
        let fit = serde_json::json!({ "a\u{FFFD}": ["b\u{FFFD}", 1, null, { "c": "d\u{FFFD}" }] });
        assert_eq!(Charset::Any.json(&value), fit);
    }
}

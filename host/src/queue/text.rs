//! Texts on their way out of the database and into it. What the host says (tracebacks, announcements, versions of plugins) goes in through
//! [`Charset`]: a character that the database has no place for costs that character, not the outcome. What a producer or a handler means
//! (names, keys, headers, payloads) is never changed: it is refused where it does not fit.

use std::borrow::Cow;

use serde_json::Value;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef, Postgres};
use sqlx::{Decode, Row as _, Type};

/// A text as a row has it. In a database whose encoding is SQL_ASCII a text is bytes: those that are not UTF-8 are shown as U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lossy(pub(super) String);

/// What texts of a database are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Charset {
    /// UTF8, or SQL_ASCII, where a text is bytes.
    #[default]
    Any,
    /// LATIN1: the first 256 characters.
    Latin1,
    /// Another, of which only this much is known here.
    Ascii,
}

/// Of one text of ours. Nobody reads more of it, and PostgreSQL takes 256 MiB.
const MOST_BYTES: usize = 64 << 10;

impl Charset {
    /// Of a database with this `server_encoding`.
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

    /// The text, as far as the database can hold it: of other characters their numbers are left, and of a long text its beginning.
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

    /// JSON of ours, every text in it made to fit.
    pub(super) fn json(self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fit(text).into(),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(pairs) => pairs.iter().map(|(name, value)| (self.fit(name).into_owned(), self.json(value))).collect(),
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
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        let text = "\u{20ac}".repeat(MOST_BYTES);
        let fit = Charset::Any.fit(&text);
        assert!(
            fit.len() < MOST_BYTES + 40 && fit.ends_with(&format!(" ... ({} bytes more)", 3 * MOST_BYTES - MOST_BYTES / 3 * 3)),
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

//! The header of an envelope: what anybody can read of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::purpose::Purpose;
use super::unopened::Unopened;

/// The longest header, as base64.
pub const MAX_HEADER_BYTES: usize = 4 << 10;
/// The longest id of a key.
const MAX_ID: usize = 128;
/// `{"` in base64: how every header begins.
const START: &[u8] = b"eyJ";

pub(crate) const KEY_WRAP: &str = "A256KW";
pub(crate) const CONTENT: &str = "A256GCM";

/// What can be known of bytes without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// They are no envelope of ours.
    Clear,
    /// They say of themselves that they are sealed with this key.
    Sealed(String),
    /// They were an envelope once.
    Broken(Unopened),
}

/// The fields that count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) enc: String,
    pub(crate) kid: String,
    pub(crate) typ: String,
    /// The entrypoint.
    pub(crate) aud: String,
    /// The job, of an output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
}

/// What these bytes are: all of them, or so many of the first that their header is among them.
pub fn look(bytes: &[u8]) -> Look {
    if !bytes.starts_with(START) {
        return Look::Clear;
    }
    match Header::of(encoded(bytes)) {
        Ok(Some(header)) => Look::Sealed(header.kid),
        // JWTs have two dots, and other people's JWEs a header that can be read.
        Ok(None) => Look::Clear,
        Err(_) if !is_ours(bytes) => Look::Clear,
        Err(unopened) => Look::Broken(unopened),
    }
}

/// The id of the key that these bytes say they are sealed with.
pub fn sealed_by(bytes: &[u8]) -> Option<String> {
    match look(bytes) {
        Look::Sealed(key) => Some(key),
        Look::Clear | Look::Broken(_) => None,
    }
}

/// Whether this can be the id of a key.
///
/// # Errors
///
/// Fails with what is wrong with it.
pub fn check_id(id: &str) -> Result<(), String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-:/@+=".contains(c);
    match id.len() {
        1..=MAX_ID if id.chars().all(is_fine) => Ok(()),
        _ => Err(format!(
            "{id:?} cannot be the id of a key; use 1 to {MAX_ID} letters, digits and characters of ._-:/@+="
        )),
    }
}

/// The part before the first dot, or what there is of it.
fn encoded(bytes: &[u8]) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(MAX_HEADER_BYTES + 1)];
    bytes.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Whether bytes with a header that cannot be read have the form of an envelope, in which nothing but
/// a fault or malice makes such a header.
fn is_ours(bytes: &[u8]) -> bool {
    let is_encoded = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    bytes.iter().filter(|byte| **byte == b'.').count() == 4 && bytes.iter().all(is_encoded)
}

impl Header {
    /// Of an envelope; none where somebody else made it for other purposes.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or lacks what every header of ours has.
    pub(crate) fn of(encoded: &[u8]) -> Result<Option<Header>, Unopened> {
        const UNREADABLE: Unopened = Unopened::Malformed("its header cannot be read");
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| UNREADABLE)?;
        let fields: Map<String, Value> = serde_json::from_slice(&json).map_err(|_| UNREADABLE)?;
        if !matches!(fields.get("typ").and_then(Value::as_str), Some(Purpose::PAYLOAD | Purpose::OUTPUT)) {
            return Ok(None);
        }
        // What is critical has to be understood, and what is compressed can be of any size.
        if fields.contains_key("crit") || fields.contains_key("zip") {
            return Err(Unopened::Malformed("its header has crit or zip, which are not accepted"));
        }
        let header: Header = serde_json::from_value(Value::Object(fields)).map_err(|_| {
            Unopened::Malformed("its header lacks one of alg, enc, kid, typ and aud, or has one that is no text")
        })?;
        if check_id(&header.kid).is_err() {
            return Err(Unopened::Malformed("the id of its key (kid) is none"));
        }
        Ok(Some(header))
    }

    pub(crate) fn new(key: &str, purpose: Purpose, entrypoint: &str) -> Header {
        Header {
            alg: KEY_WRAP.into(),
            enc: CONTENT.into(),
            kid: key.to_owned(),
            typ: purpose.typ().into(),
            aud: entrypoint.to_owned(),
            sub: purpose.subject(),
        }
    }

    /// As base64, which is what is authenticated.
    pub(crate) fn encoded(&self) -> String {
        // Texts in a struct always become JSON.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether it says that it is what is looked for. Whoever changed it is found out later: this is
    /// for a message that helps.
    pub(crate) fn check(&self, purpose: Purpose, entrypoint: &str) -> Result<(), Unopened> {
        if (&*self.alg, &*self.enc) != (KEY_WRAP, CONTENT) {
            return Err(Unopened::Algorithms { alg: self.alg.clone(), enc: self.enc.clone() });
        }
        if self.typ != purpose.typ() || self.sub != purpose.subject() {
            let of = |typ: &str, job: Option<&str>| match (typ, job) {
                (Purpose::PAYLOAD, None) => "a payload".to_owned(),
                (Purpose::PAYLOAD, Some(_)) => "a payload with a subject".to_owned(),
                (_, Some(job)) => format!("the output of job {job:?}"),
                (_, None) => "the output of no job".to_owned(),
            };
            let (sealed, found) = (of(&self.typ, self.sub.as_deref()), of(purpose.typ(), purpose.subject().as_deref()));
            return Err(Unopened::OtherPurpose { sealed, found });
        }
        if self.aud != entrypoint {
            return Err(Unopened::OtherEntrypoint { sealed: self.aud.clone(), found: entrypoint.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(header: &str) -> Vec<u8> {
        format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(header)).into_bytes()
    }

    #[test]
    fn tokens_of_others_and_text_are_in_clear() {
        let foreign = r#"{"alg":"dir","enc":"A256GCM","typ":"JWT"}"#;
        for clear in
            [&b""[..], b"{\"a\":1}", b"eyJ", b"eyJ not base64", b"eyJhbGciOiJub25lIn0.e30.", &envelope(foreign)]
        {
            assert_eq!(look(clear), Look::Clear, "{}", String::from_utf8_lossy(clear));
        }
    }

    #[test]
    fn a_header_names_its_key_even_if_the_rest_is_cut_away() {
        let header = Header::new("2026-11", Purpose::Payload, "charge").encoded();
        assert_eq!(look(format!("{header}.x").as_bytes()), Look::Sealed("2026-11".into()));
        assert_eq!(sealed_by(header.as_bytes()).as_deref(), Some("2026-11"));
    }

    #[test]
    fn an_envelope_whose_header_is_damaged_is_broken_and_not_in_clear() {
        let whole = r#"{"alg":"A256KW","enc":"A256GCM","kid":"k","typ":"pgq-payload+jwe","aud":"e"}"#;
        assert_eq!(look(&envelope(whole)), Look::Sealed("k".into()));
        for (from, to) in [
            ("\"aud\":\"e\"", "\"x\":1"),
            ("\"k\"", "\"\""),
            ("\"k\"", "\"<b>\""),
            (",\"kid\"", ",\"zip\":\"DEF\",\"kid\""),
        ] {
            let broken = look(&envelope(&whole.replace(from, to)));
            assert!(matches!(broken, Look::Broken(_)), "{to}: {broken:?}");
        }
        assert!(matches!(look(&envelope(&whole[..whole.len() - 1])), Look::Broken(_)));
    }

    #[test]
    fn an_id_is_short_and_harmless() {
        assert_eq!(check_id("projects/x/keys/2026-11"), Ok(()));
        for bad in ["", "a b", "a\n", "<b>", "ä", &"x".repeat(129)] {
            assert!(check_id(bad).expect_err(bad).contains("128"));
        }
    }
}

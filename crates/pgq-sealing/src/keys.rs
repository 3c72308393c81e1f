//! Keys as a JWK Set (RFC 7517), which libraries for JOSE read as well.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::header::{KEY_WRAP, check_id};
use super::key::{KEY_BYTES, Key, NoRandom};

/// A set of keys is small, and a mistaken path may lead to anything.
pub const MAX_KEYS_BYTES: u64 = 64 << 10;

/// Why a text is no set of keys. No message has anything of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error(
        "it is no JWK Set ({0}); `pgq-host sealing keygen` makes one, like {{\"keys\": [{{\"kty\": \"oct\", \"kid\": \"2026-11\", \"k\": \"...\"}}]}}"
    )]
    NotASet(String),
    #[error("key {place}: {wrong}")]
    Key { place: usize, wrong: String },
    #[error("the id {0:?} is there twice; give each key its own")]
    Twice(String),
    #[error("it has no key; `pgq-host sealing keygen` makes one")]
    Empty,
}

/// The keys that a host has, in their order.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// Borrowed from the text that they were read from, which whoever read it wipes.
#[derive(Serialize, Deserialize)]
struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    #[serde(borrow)]
    kid: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    alg: Option<Cow<'a, str>>,
    #[serde(rename = "use", borrow, skip_serializing_if = "Option::is_none", default)]
    used_for: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key_ops: Option<Vec<String>>,
    #[serde(borrow)]
    k: &'a str,
}

#[derive(Serialize, Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<Jwk<'a>>,
}

impl Keys {
    /// Read a set.
    ///
    /// # Errors
    ///
    /// Fails if one of the keys is none, or there is none.
    pub fn read(text: &[u8]) -> Result<Keys, KeysError> {
        let set = set(text)?;
        let mut keys: Vec<Key> = Vec::with_capacity(set.keys.len());
        for (jwk, place) in set.keys.iter().zip(1..) {
            let key = jwk.key().map_err(|wrong| KeysError::Key { place, wrong })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeysError::Twice(key.id));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Keys(keys)) }
    }

    /// The key of this id, if it may open anything.
    pub fn opens(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id && key.opens)
    }

    /// The key for what is new: that of this id, or the first that may seal.
    ///
    /// # Errors
    ///
    /// Fails if there is none.
    pub fn seals(&self, id: Option<&str>) -> Result<&Key, String> {
        let is_it = |key: &&Key| key.seals && id.is_none_or(|id| key.id == id);
        self.0.iter().find(is_it).ok_or_else(|| match id {
            Some(id) => format!("none of the keys that may seal is named {id:?}; there are {}", self.names()),
            None => "none of the keys may seal: each has key_ops without \"wrapKey\"".into(),
        })
    }

    /// Their ids, for people.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|key| format!("{:?}", key.id)).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn set(text: &[u8]) -> Result<JwkSet<'_>, KeysError> {
    // The parser's message has places and names of fields, and could have a value: only the places
    // are repeated.
    serde_json::from_slice(text).map_err(|error| {
        let kind = if error.is_data() { "a field is missing or of another type" } else { "it is not JSON" };
        KeysError::NotASet(format!("{kind}, line {}", error.line()))
    })
}

impl Jwk<'_> {
    fn key(&self) -> Result<Key, String> {
        check_id(&self.kid)?;
        let named = |what: &str| format!("{:?} {what}", self.kid);
        if self.kty != "oct" {
            return Err(named("is no symmetric key; its kty has to be \"oct\""));
        }
        if self.alg.as_ref().is_some_and(|alg| alg != KEY_WRAP) {
            return Err(named("is for another algorithm; leave alg out, or make it \"A256KW\""));
        }
        if self.used_for.as_ref().is_some_and(|used_for| used_for != "enc") {
            return Err(named("is for signatures; leave use out, or make it \"enc\""));
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        // The decoder wants room for a few bytes more.
        let mut decoded = Zeroizing::new([0; KEY_BYTES + 4]);
        match URL_SAFE_NO_PAD.decode_slice(self.k.trim_end_matches('='), &mut *decoded) {
            Ok(KEY_BYTES) => bytes.copy_from_slice(&decoded[..KEY_BYTES]),
            _ => return Err(named("does not have 256 bits: its k has to be 32 bytes in base64url, 43 characters")),
        }
        let may = |what: &str| self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == what));
        Ok(Key::new(self.kid.clone().into_owned(), &bytes, may("wrapKey"), may("unwrapKey")))
    }
}

/// A fresh key of this id, as a JWK.
///
/// # Errors
///
/// Fails if the system has no random bytes.
pub fn new_key(id: &str) -> Result<Zeroizing<String>, NoRandom> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| NoRandom)?;
    let k = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
    let jwk =
        Jwk { kty: "oct".into(), kid: id.into(), alg: Some(KEY_WRAP.into()), used_for: None, key_ops: None, k: &k };
    serde_json::to_string(&jwk).map(Zeroizing::new).map_err(|_| NoRandom)
}

/// The set with one more key at its end; a new set where there is none yet.
///
/// # Errors
///
/// Fails if the text is no set, or has a key of that id.
pub fn with_key(set_text: Option<&[u8]>, jwk: &str) -> Result<Zeroizing<String>, KeysError> {
    let mut all = match set_text {
        Some(text) => {
            Keys::read(text)?;
            set(text)?
        }
        None => JwkSet { keys: Vec::new() },
    };
    let new: Jwk<'_> = serde_json::from_str(jwk).map_err(|_| KeysError::Empty)?;
    if all.keys.iter().any(|key| key.kid == new.kid) {
        return Err(KeysError::Twice(new.kid.into_owned()));
    }
    all.keys.push(new);
    // Texts in structs always become JSON.
    Ok(Zeroizing::new(serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"))
}

#[cfg(test)]
mod tests {
    use super::super::purpose::Purpose;
    use super::*;

    #[test]
    fn a_set_grows_and_its_first_key_seals_unless_another_is_named() {
        let one = with_key(None, &new_key("one").expect("made")).expect("a set");
        let two = with_key(Some(one.as_bytes()), &new_key("two").expect("made")).expect("a set");
        assert_eq!(with_key(Some(two.as_bytes()), &new_key("two").expect("made")), Err(KeysError::Twice("two".into())));
        let keys = Keys::read(two.as_bytes()).expect("keys");
        assert_eq!((keys.len(), keys.names()), (2, "\"one\", \"two\"".into()));
        assert_eq!(keys.seals(None).map(Key::id), Ok("one"));
        assert_eq!(keys.seals(Some("two")).map(Key::id), Ok("two"));
        assert!(keys.seals(Some("three")).expect_err("unknown").contains("\"three\""));
        let sealed = keys.seals(Some("two")).expect("a key").seal(b"x", Purpose::Payload, "e").expect("sealed");
        assert!(keys.opens("two").expect("a key").open(&sealed, Purpose::Payload, "e").is_ok());
        assert!(keys.opens("three").is_none());
    }

    #[test]
    fn a_key_does_only_what_it_is_for() {
        let k = "A".repeat(43);
        let text = format!(
            r#"{{"keys":[{{"kty":"oct","kid":"old","k":"{k}","key_ops":["unwrapKey"],"ext":true}},{{"kty":"oct","kid":"new","k":"{k}","use":"enc"}}]}}"#
        );
        let keys = Keys::read(text.as_bytes()).expect("keys");
        assert_eq!(keys.seals(None).map(Key::id), Ok("new"));
        assert!(keys.opens("old").is_some() && keys.seals(Some("old")).is_err());
    }

    #[test]
    fn what_is_no_key_is_named_and_never_shown() {
        let k = "A".repeat(43);
        for (text, part) in [
            ("secret".to_owned(), "no JWK Set"),
            (r#"{"keys":[]}"#.to_owned(), "no key"),
            (format!(r#"{{"keys":[{{"kty":"oct","k":"{k}"}}]}}"#), "a field is missing"),
            (format!(r#"{{"keys":[{{"kty":"RSA","kid":"a","k":"{k}"}}]}}"#), "\"oct\""),
            (format!(r#"{{"keys":[{{"kty":"oct","kid":"a b","k":"{k}"}}]}}"#), "id of a key"),
            (format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{}"}}]}}"#, &k[1..]), "43 characters"),
            (format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{k}{k}"}}]}}"#), "43 characters"),
            (format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{k}","alg":"HS256"}}]}}"#), "A256KW"),
            (format!(r#"{{"keys":[{{"kty":"oct","kid":"a","k":"{k}","use":"sig"}}]}}"#), "signatures"),
        ] {
            let error = Keys::read(text.as_bytes()).map(|_| ()).expect_err(&text).to_string();
            assert!(error.contains(part), "{part} is missing in: {error}");
            assert!(!error.contains("secret") && !error.contains("AAAA"), "{error}");
        }
    }
}

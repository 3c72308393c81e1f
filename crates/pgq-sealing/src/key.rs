//! One key: it seals and opens.

use aes_kw::{KeyInit as _, KwAes256};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::envelope::{Envelope, NONCE_BYTES, WRAPPED_BYTES};
use super::header::Header;
use super::purpose::Purpose;
use super::unopened::Unopened;

pub(crate) const KEY_BYTES: usize = 32;

/// The system gave no random bytes, so nothing can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random bytes, so nothing can be sealed")]
pub struct NoRandom;

/// A key that wraps the keys of envelopes. Dropped, it leaves nothing of itself in memory, and
/// nothing shows what it is made of.
pub struct Key {
    pub(crate) id: String,
    wraps: KwAes256,
    /// Whether it may be used for what is new, and for what is there.
    pub(crate) seals: bool,
    pub(crate) opens: bool,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?})", self.id)
    }
}

impl Key {
    pub(crate) fn new(id: String, bytes: &[u8; KEY_BYTES], seals: bool, opens: bool) -> Key {
        Key { id, wraps: KwAes256::new(bytes.into()), seals, opens }
    }

    /// What envelopes call it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An envelope with this content.
    ///
    /// # Errors
    ///
    /// Fails if the system has no random bytes.
    pub fn seal(&self, content: &[u8], purpose: Purpose, entrypoint: &str) -> Result<Vec<u8>, NoRandom> {
        let (random, header) = (SystemRandom::new(), Header::new(&self.id, purpose, entrypoint).encoded());
        let (mut key, mut nonce) = (Zeroizing::new([0; KEY_BYTES]), [0; NONCE_BYTES]);
        random.fill(&mut *key).and_then(|()| random.fill(&mut nonce)).map_err(|_| NoRandom)?;
        let mut wrapped = [0; WRAPPED_BYTES];
        // The lengths are right by their types, here and below.
        self.wraps.wrap_key(&*key, &mut wrapped).map_err(|_| NoRandom)?;
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| NoRandom)?);
        let mut sealed = content.to_vec();
        let (nonce_of, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()));
        let tag = cipher.seal_in_place_separate_tag(nonce_of, aad, &mut sealed).map_err(|_| NoRandom)?;
        Ok(Envelope::write(&header, &wrapped, &nonce, &sealed, tag.as_ref()))
    }

    /// The content of an envelope that was sealed with this key, for this purpose and entrypoint.
    ///
    /// # Errors
    ///
    /// Fails if it is anything else.
    pub fn open(&self, envelope: &[u8], purpose: Purpose, entrypoint: &str) -> Result<Vec<u8>, Unopened> {
        let Envelope { header: encoded, wrapped, nonce, mut sealed } = Envelope::read(envelope)?;
        let header = Header::of(encoded)?.ok_or(Unopened::Malformed("its header is another's"))?;
        header.check(purpose, entrypoint)?;
        let not_authentic = || Unopened::NotAuthentic { key: self.id.clone() };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.wraps.unwrap_key(&wrapped, &mut *key).map_err(|_| not_authentic())?;
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| not_authentic())?);
        let (nonce, aad) = (Nonce::assume_unique_for_key(nonce), Aad::from(encoded));
        let length = cipher.open_in_place(nonce, aad, &mut sealed).map_err(|_| not_authentic())?.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::{Look, look};
    use super::*;

    fn key(id: &str, byte: u8) -> Key {
        Key::new(id.into(), &[byte; KEY_BYTES], true, true)
    }

    #[test]
    fn what_is_sealed_is_opened_where_it_belongs_and_nowhere_else() {
        let (mine, other) = (key("k", 1), key("k", 2));
        for content in [&b""[..], b"x", &[7; 100_000]] {
            let sealed = mine.seal(content, Purpose::Payload, "charge").expect("sealed");
            assert_eq!(look(&sealed), Look::Sealed("k".into()));
            assert!(sealed.len() <= content.len() * 4 / 3 + 256, "{}", sealed.len());
            assert_eq!(mine.open(&sealed, Purpose::Payload, "charge").as_deref(), Ok(content));
            let elsewhere = mine.open(&sealed, Purpose::Payload, "refund");
            assert!(matches!(elsewhere, Err(Unopened::OtherEntrypoint { .. })));
            let as_output = mine.open(&sealed, Purpose::Output(1), "charge");
            assert!(matches!(as_output, Err(Unopened::OtherPurpose { .. })));
            let by_another = other.open(&sealed, Purpose::Payload, "charge");
            assert_eq!(by_another, Err(Unopened::NotAuthentic { key: "k".into() }));
        }
        let output = mine.seal(b"x", Purpose::Output(7), "charge").expect("sealed");
        assert_eq!(mine.open(&output, Purpose::Output(7), "charge").as_deref(), Ok(&b"x"[..]));
        assert!(matches!(mine.open(&output, Purpose::Output(8), "charge"), Err(Unopened::OtherPurpose { .. })));
    }

    #[test]
    fn no_changed_or_missing_byte_goes_unnoticed() {
        let mine = key("k", 1);
        let sealed = mine.seal(b"content", Purpose::Payload, "e").expect("sealed");
        for at in 0..sealed.len() {
            for bit in [1, 2, 32] {
                let mut changed = sealed.clone();
                changed[at] ^= bit;
                assert!(
                    mine.open(&changed, Purpose::Payload, "e").is_err(),
                    "byte {at} is {:?}",
                    char::from(changed[at])
                );
            }
            assert!(mine.open(&sealed[..at], Purpose::Payload, "e").is_err(), "cut at {at}");
        }
        // A header that says another entrypoint is still another header.
        let text = String::from_utf8(sealed).expect("ASCII");
        let (_, rest) = text.split_once('.').expect("parts");
        let forged = format!("{}.{rest}", Header::new("k", Purpose::Payload, "other").encoded());
        assert_eq!(
            mine.open(forged.as_bytes(), Purpose::Payload, "other"),
            Err(Unopened::NotAuthentic { key: "k".into() })
        );
    }

    #[test]
    fn other_algorithms_are_refused_before_any_key_is_used() {
        let mine = key("k", 1);
        let text = String::from_utf8(mine.seal(b"x", Purpose::Payload, "e").expect("sealed")).expect("ASCII");
        let (_, rest) = text.split_once('.').expect("parts");
        for (alg, enc) in [("dir", "A256GCM"), ("none", "A256GCM"), ("A256KW", "A128GCM"), ("A256GCM", "A256KW")] {
            let header = Header { alg: alg.into(), enc: enc.into(), ..Header::new("k", Purpose::Payload, "e") };
            let refused = mine.open(format!("{}.{rest}", header.encoded()).as_bytes(), Purpose::Payload, "e");
            assert!(matches!(refused, Err(Unopened::Algorithms { .. })), "{alg} {enc}");
        }
    }

    /// Made by jwcrypto 1.6.1.
    #[test]
    fn an_envelope_of_another_implementation_is_opened() {
        let bytes = std::array::from_fn(|at| u8::try_from(at).expect("small"));
        let mine = Key::new("2026-11".into(), &bytes, true, true);
        let envelope = include_str!("jwcrypto.jwe").trim_end();
        assert_eq!(mine.open(envelope.as_bytes(), Purpose::Payload, "charge").as_deref(), Ok(&b"{\"amount\": 7}"[..]));
    }
}

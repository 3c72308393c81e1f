//! The five parts of a JWE in compact form, and their encoding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::unopened::Unopened;

pub(crate) const WRAPPED_BYTES: usize = 40;
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;

/// An envelope whose encoding is undone.
pub(crate) struct Envelope<'a> {
    /// As it was sent, which is what is authenticated.
    pub(crate) header: &'a [u8],
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// The encrypted content with its tag.
    pub(crate) sealed: Vec<u8>,
}

impl Envelope<'_> {
    pub(crate) fn read(bytes: &[u8]) -> Result<Envelope<'_>, Unopened> {
        let mut parts = bytes.split(|byte| *byte == b'.');
        let mut part = || parts.next().ok_or(Unopened::Malformed("it does not have five parts"));
        let (header, wrapped, nonce, content, tag) = (part()?, part()?, part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(Unopened::Malformed("it has more than five parts"));
        }
        let wrapped = exactly(wrapped).ok_or(Unopened::Malformed("its wrapped key has a wrong length"))?;
        let nonce = exactly(nonce).ok_or(Unopened::Malformed("its nonce has a wrong length"))?;
        let tag: [u8; TAG_BYTES] = exactly(tag).ok_or(Unopened::Malformed("its tag has a wrong length"))?;
        let mut sealed = Vec::with_capacity(content.len() / 4 * 3 + 3 + TAG_BYTES);
        if URL_SAFE_NO_PAD.decode_vec(content, &mut sealed).is_err() {
            return Err(Unopened::Malformed("its content is not base64"));
        }
        sealed.extend_from_slice(&tag);
        Ok(Envelope { header, wrapped, nonce, sealed })
    }

    /// As it is stored.
    pub(crate) fn write(header: &str, wrapped: &[u8], nonce: &[u8], content: &[u8], tag: &[u8]) -> Vec<u8> {
        // The three short parts have 92 characters, and there are four dots.
        let mut text = String::with_capacity(header.len() + content.len().div_ceil(3) * 4 + 96);
        text.push_str(header);
        for part in [wrapped, nonce, content, tag] {
            text.push('.');
            URL_SAFE_NO_PAD.encode_string(part, &mut text);
        }
        text.into_bytes()
    }
}

fn exactly<const N: usize>(part: &[u8]) -> Option<[u8; N]> {
    URL_SAFE_NO_PAD.decode(part).ok()?.try_into().ok()
}

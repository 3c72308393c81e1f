//! Public keys, and whether a signature is theirs.

use ring::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};

use super::digest::sha256;
use super::untrusted::KeyError;

/// The DER of a `SubjectPublicKeyInfo` up to the key itself, which has one form for each kind of key.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const ED25519_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// An uncompressed point: a 4 and two coordinates.
const P256_POINT: usize = 65;
const ED25519_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    P256,
    Ed25519,
}

/// A key that signatures are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    der: Vec<u8>,
}

impl PublicKey {
    /// Read a key in PEM form: `-----BEGIN PUBLIC KEY-----`.
    ///
    /// # Errors
    ///
    /// Fails if it is no public key, or of an unsupported kind.
    pub fn read(text: &str) -> Result<PublicKey, KeyError> {
        let pem = pem::parse(text.trim()).map_err(|_| KeyError::NotPem)?;
        if pem.tag() != "PUBLIC KEY" {
            return Err(KeyError::NotPublic(pem.tag().to_owned()));
        }
        PublicKey::of_der(pem.into_contents())
    }

    fn of_der(der: Vec<u8>) -> Result<PublicKey, KeyError> {
        let kind = match der.len() {
            length if length == P256_PREFIX.len() + P256_POINT && der.starts_with(&P256_PREFIX) => Kind::P256,
            length if length == ED25519_PREFIX.len() + ED25519_BYTES && der.starts_with(&ED25519_PREFIX) => {
                Kind::Ed25519
            }
            _ => return Err(KeyError::Unsupported),
        };
        Ok(PublicKey { kind, der })
    }

    /// The key of these bytes as ring has them.
    pub(super) fn of_raw(kind: Kind, raw: &[u8]) -> Result<PublicKey, KeyError> {
        let prefix: &[u8] = match kind {
            Kind::P256 => &P256_PREFIX,
            Kind::Ed25519 => &ED25519_PREFIX,
        };
        PublicKey::of_der([prefix, raw].concat())
    }

    /// The key in PEM form.
    pub fn pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("PUBLIC KEY", self.der.clone()), config)
    }

    /// The SHA-256 of its DER.
    pub fn fingerprint(&self) -> String {
        sha256(&self.der)
    }

    /// Whether the signature is of this message by this key: ECDSA over SHA-256 in DER, or Ed25519.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, raw): (&'static dyn VerificationAlgorithm, &[u8]) = match self.kind {
            Kind::P256 => (&ECDSA_P256_SHA256_ASN1, &self.der[P256_PREFIX.len()..]),
            Kind::Ed25519 => (&ED25519, &self.der[ED25519_PREFIX.len()..]),
        };
        UnparsedPublicKey::new(algorithm, raw).verify(message, signature).is_ok()
    }
}

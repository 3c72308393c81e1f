//! Who signed the bytes of a plugin.

use std::fmt;

/// A trusted key that signed the bytes of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The operator's name for the key.
    pub key: String,
    /// The SHA-256 of the public key's DER (`SubjectPublicKeyInfo`), in hexadecimal digits.
    pub fingerprint: String,
}

impl Signer {
    /// Whether it is the same key, whatever it is called.
    pub fn is(&self, other: &Signer) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.fingerprint.chars().take(12).collect();
        write!(f, "{} ({short})", self.key)
    }
}

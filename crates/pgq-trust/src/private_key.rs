//! Private keys: made, read, and used to sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use super::public_key::{Kind, PublicKey};
use super::untrusted::KeyError;

/// The kinds of keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    EcdsaP256,
    Ed25519,
}

/// A key that signs. What it is made of is shown by nothing.
pub struct PrivateKey(Pair);

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// Make a key. Returns its PEM in PKCS#8 form.
    ///
    /// # Errors
    ///
    /// Fails if the system has no random bytes.
    pub fn generate(algorithm: Algorithm) -> Result<String, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let document = document.map_err(|_| KeyError::Unsupported)?;
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(pem::encode_config(&pem::Pem::new("PRIVATE KEY", document.as_ref()), config))
    }

    /// Read a key in PEM form: `-----BEGIN PRIVATE KEY-----`, which is PKCS#8 without a password.
    ///
    /// # Errors
    ///
    /// Fails if it is no such key.
    pub fn read(text: &str) -> Result<PrivateKey, KeyError> {
        let pem = pem::parse(text.trim()).map_err(|_| KeyError::NotPem)?;
        match pem.tag() {
            "PRIVATE KEY" => {}
            "EC PRIVATE KEY" => return Err(KeyError::Sec1),
            tag if tag.contains("ENCRYPTED") => return Err(KeyError::Encrypted),
            tag => return Err(KeyError::NotPrivate(tag.to_owned())),
        }
        let der = pem.contents();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der, &SystemRandom::new()) {
            return Ok(PrivateKey(Pair::P256(pair)));
        }
        // Those of OpenSSL do not have the public key in them.
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            Ok(pair) => Ok(PrivateKey(Pair::Ed25519(pair))),
            Err(_) => Err(KeyError::Unsupported),
        }
    }

    /// # Errors
    ///
    /// Never for a key that was read.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        match &self.0 {
            Pair::P256(pair) => PublicKey::of_raw(Kind::P256, pair.public_key().as_ref()),
            Pair::Ed25519(pair) => PublicKey::of_raw(Kind::Ed25519, pair.public_key().as_ref()),
        }
    }

    /// The signature of these bytes as cosign writes it: base64.
    ///
    /// # Errors
    ///
    /// Fails if the system has no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        let signature = match &self.0 {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Unsupported)?,
            Pair::Ed25519(pair) => pair.sign(message),
        };
        Ok(STANDARD.encode(signature.as_ref()))
    }
}

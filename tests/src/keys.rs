//! Keys that sign plugins, and the configuration that trusts them.

use std::fmt::Write as _;

use pgq_trust::{Algorithm, PrivateKey};

/// A key of a test's own.
pub struct Key {
    pem: String,
    private: PrivateKey,
}

impl Key {
    pub fn new(algorithm: Algorithm) -> Key {
        let pem = PrivateKey::generate(algorithm).expect("made");
        let private = PrivateKey::read(&pem).expect("a key");
        Key { pem, private }
    }

    /// The private key as a file has it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn public_pem(&self) -> String {
        self.private.public().expect("public").pem()
    }

    /// What is in the file beside a component of these bytes.
    pub fn sign(&self, bytes: &[u8]) -> String {
        self.private.sign(bytes).expect("signed") + "\n"
    }
}

/// `[trust.keys]` with these keys, after what else is in `[trust]`.
pub fn trust(rest: &str, keys: &[(&str, &Key)]) -> String {
    let mut text = format!("[trust]\n{rest}\n[trust.keys]\n");
    for (name, key) in keys {
        let _ = writeln!(text, "{name} = \"\"\"\n{}\"\"\"", key.public_pem());
    }
    text
}

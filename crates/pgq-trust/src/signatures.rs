//! The file `NAME.wasm.sig`: signatures of the bytes beside it, one on each line.
//!
//! A line is what `cosign sign-blob` writes, base64 or a bundle, or a JSON object with a signature
//! that a registry had ([`Envelope`]). Several lines are several signers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bundle;
use super::digest::sha256;
use super::public_key::PublicKey;
use super::simple_signing::Envelope;

/// The largest file of signatures that is read. Manifests are in it, of which each has a few KiB.
pub const MAX_SIGNATURE_BYTES: u64 = 256 << 10;
/// Each costs an attempt by each key.
const MAX_SIGNATURES: usize = 16;

/// What is in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signatures(Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    /// Of the bytes themselves.
    Detached(Vec<u8>),
    /// Of a manifest that names them.
    Registry(Box<Envelope>),
}

impl Line {
    fn of_json(line: &str) -> Result<Line, String> {
        let document = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if bundle::is_bundle(&document) {
            return bundle::signature(document).map(Line::Detached);
        }
        let envelope = serde_json::from_value(document).map_err(|error| error.to_string())?;
        Ok(Line::Registry(Box::new(envelope)))
    }
}

impl Signatures {
    /// Read the content of such a file.
    ///
    /// # Errors
    ///
    /// Fails with what is wrong with it.
    pub fn read(content: &[u8]) -> Result<Signatures, String> {
        let text = std::str::from_utf8(content).map_err(|_| "it is not text".to_owned())?;
        let mut lines = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            if lines.len() == MAX_SIGNATURES {
                return Err(format!("it has more than {MAX_SIGNATURES} signatures"));
            }
            lines.push(if line.starts_with('{') {
                Line::of_json(line).map_err(|error| format!("line {}: {error}", number + 1))?
            } else {
                let bytes = STANDARD.decode(line).map_err(|_| format!("line {} is not base64", number + 1))?;
                Line::Detached(bytes)
            });
        }
        if lines.is_empty() {
            return Err("it is empty".into());
        }
        Ok(Signatures(lines))
    }

    /// The same file's content for signatures of a registry.
    pub fn write(envelopes: &[Envelope]) -> String {
        let line = |envelope: &Envelope| serde_json::to_string(envelope).map(|line| line + "\n").unwrap_or_default();
        envelopes.iter().take(MAX_SIGNATURES).map(line).collect()
    }

    /// Whether one of them is by this key and of these bytes.
    pub(super) fn are_by(&self, key: &PublicKey, bytes: &[u8]) -> bool {
        self.0.iter().any(|line| match line {
            Line::Detached(signature) => key.has_signed(bytes, signature),
            Line::Registry(envelope) => envelope.leads_to(key, &sha256(bytes)),
        })
    }
}

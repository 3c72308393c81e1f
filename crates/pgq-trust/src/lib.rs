//! Who signed a component, and whether that is enough to serve it. This crate knows neither jobs
//! nor wasm: it is given bytes, signatures, and the name and version that the bytes declare.
//!
//! All cryptography is ring's. Signatures are those of `cosign sign-blob` and `cosign sign`.

mod bundle;
mod digest;
mod private_key;
mod public_key;
mod rule;
mod signatures;
mod simple_signing;
mod trust;
mod untrusted;

pub use digest::sha256;
pub use private_key::{Algorithm, PrivateKey};
pub use public_key::PublicKey;
pub use rule::Rule;
pub use signatures::{MAX_SIGNATURE_BYTES, Signatures};
pub use simple_signing::{Envelope, payload};
pub use trust::Trust;
pub use untrusted::{KeyError, Untrusted};

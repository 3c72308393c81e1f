//! Payloads and outputs that only holders of a key can read. This crate knows neither the queue nor
//! the engine: it is given bytes, and what they are for.
//!
//! An envelope is JSON Web Encryption (RFC 7516) in its compact form, with one pair of algorithms:
//! a fresh key for each envelope, wrapped by AES-256 (`A256KW`, RFC 3394), and AES-256-GCM
//! (`A256GCM`) over the content and the header. So any library for JOSE makes and opens them.

mod envelope;
mod header;
mod key;
mod keys;
mod purpose;
mod unopened;

pub use header::{Look, MAX_HEADER_BYTES, check_id, look, sealed_by};
pub use key::{Key, NoRandom};
pub use keys::{Keys, KeysError, MAX_KEYS_BYTES, new_key, with_key};
pub use purpose::Purpose;
pub use unopened::Unopened;

//! The system's random bytes.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Bytes that nobody can guess.
///
/// # Panics
///
/// If the system has none, which no supported one does: nothing that is meant to be a secret may be
/// made then.
pub(super) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// The same as text of 43 letters, digits, `-` and `_`.
pub fn new_token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random())
}

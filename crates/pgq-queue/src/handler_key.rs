//! What a host proves with, in a session of a handler's role, that it is the host and not the
//! handler who ends a job there. It is in a table that no handler's role can read, and new at each
//! start.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use pgq_job::Claim;

#[derive(Clone)]
pub(super) struct HandlerKey(Arc<[u8; 32]>);

impl HandlerKey {
    /// A new one, of the system's random bytes.
    pub(super) fn draw() -> HandlerKey {
        let mut key = [0; 32];
        key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        HandlerKey(Arc::new(key))
    }

    /// Good for one claim, in one transaction of one session. Both hashes have the same length each
    /// time, so that nothing can be appended.
    pub(super) fn token(&self, claim: Claim, pid: i32, began_us: i64) -> Vec<u8> {
        let text = format!("{} {} {pid} {began_us}", claim.id, claim.at.timestamp_micros());
        Sha256::new().chain_update(*self.0).chain_update(Sha256::digest(text)).finalize().to_vec()
    }
}

impl Deref for HandlerKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &*self.0
    }
}

impl fmt::Debug for HandlerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_of_one_key_claim_session_and_transaction() {
        let claim = |id| Claim { id, at: chrono::DateTime::UNIX_EPOCH };
        let (key, other) = (HandlerKey::draw(), HandlerKey::draw());
        let token = key.token(claim(1), 2, 3);
        assert_eq!((token.len(), &token), (32, &key.token(claim(1), 2, 3)));
        for different in [
            key.token(claim(2), 2, 3),
            key.token(claim(1), 3, 3),
            key.token(claim(1), 2, 4),
            other.token(claim(1), 2, 3),
        ] {
            assert_ne!(token, different);
        }
        assert_eq!(format!("{key:?}"), "[key]");
    }
}

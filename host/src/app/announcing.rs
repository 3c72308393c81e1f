//! What this host's sessions say of its life to the others.

use tokio::sync::watch;

use crate::announce::Presence;
use crate::queue::Lacking;

/// `listening`: whether there is a listening session, the only one of our own behind a pooler in transaction mode.
pub(super) fn presence(lacking: Lacking, transaction_pooling: bool, listening: &watch::Receiver<bool>) -> Presence {
    match lacking.presence {
        true => Presence::Unknown,
        false if transaction_pooling => Presence::WhileListening(listening.clone()),
        false => Presence::Always,
    }
}

//! What this host's sessions say of its life to the others.

use tokio::sync::watch;

use crate::announce::Presence;
use pgq_queue::SchemaFeatures;

/// `listening`: whether there is a listening session, the only one of our own behind a pooler in
/// transaction mode.
pub(super) fn presence(
    features: SchemaFeatures,
    transaction_pooling: bool,
    listening: &watch::Receiver<bool>,
) -> Presence {
    match features.presence {
        false => Presence::Unknown,
        true if transaction_pooling => Presence::WhileListening(listening.clone()),
        true => Presence::Always,
    }
}

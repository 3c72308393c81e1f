//! Counts the outgoing requests of one call and their bytes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pgq_job::Traffic;

/// Shared by the call and its connections.
#[derive(Debug, Default)]
pub(super) struct TrafficMeter {
    requests: AtomicU32,
    sent: AtomicU64,
    received: AtomicU64,
}

impl TrafficMeter {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So far.
    pub(super) fn sum(&self) -> Traffic {
        Traffic {
            requests: self.requests.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

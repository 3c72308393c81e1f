//! The news that a server is read-only by now: whoever has a session there looks for another.

use std::sync::Arc;

use tokio::sync::watch;

/// Cheap to clone; all clones tell each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Left(Arc<watch::Sender<u64>>);

impl Left {
    pub(super) fn tell(&self) {
        self.0.send_modify(|times| *times += 1);
    }

    /// Resolves with the next news.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

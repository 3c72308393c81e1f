//! A worker, as far as the pages tell of it.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::readiness::Readiness;
use crate::watchdog::Watchdog;
use pgq_engine::guests::Guests;
use pgq_queue::Queue;

pub struct WorkerHandles {
    pub queue: Queue,
    pub plugins: watch::Receiver<Arc<PluginSet>>,
    pub leases: Arc<Leases>,
    /// Where its guests run.
    pub guests: Guests,
    pub places: usize,
    pub watchdog: Watchdog,
    /// Whether it hears notifications; none where it is meant to poll.
    pub listening: Option<watch::Receiver<bool>>,
    /// Whether it serves what it is meant to.
    pub readiness: Readiness,
    pub stopping: CancellationToken,
}

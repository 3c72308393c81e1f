//! The parts of a worker that the pages describe.

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
    /// The threads that run its guests.
    pub guests: Guests,
    pub places: usize,
    pub watchdog: Watchdog,
    /// Whether its listener is connected. `None` if it is configured to poll.
    pub listening: Option<watch::Receiver<bool>>,
    /// Whether it serves everything that it should.
    pub readiness: Readiness,
    pub stopping: CancellationToken,
}

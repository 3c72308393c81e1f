//! The three words that end a worker's tasks, in the order in which they are said.

use tokio_util::sync::CancellationToken;

/// Arguments of whatever they end, never globals.
#[derive(Debug, Clone, Default)]
pub(super) struct Stops {
    /// Take nothing on any more: no job, no tick of a schedule, no change of a plugin.
    pub(super) claiming: CancellationToken,
    /// Do not try any longer to write outcomes. Said only where that takes too long.
    pub(super) recording: CancellationToken,
    /// Everything is over: heartbeats go on until the last outcome is written.
    pub(super) upkeep: CancellationToken,
}

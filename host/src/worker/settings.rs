//! How the claim loop behaves, and how it can end.

use std::time::Duration;

/// Whether to go on when there is no work left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// For ever.
    #[default]
    Continuous,
    /// Until no job of the served entrypoints is queued (deferred ones included) or running, here
    /// or elsewhere.
    Drain,
}

/// How the loop behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Jobs in one claim at most.
    pub batch_size: usize,
    /// The longest wait between two claims.
    pub dequeue_timeout: Duration,
    /// See there.
    pub mode: Mode,
    /// End when the listening connection is lost, instead of polling until it is back.
    pub shutdown_on_listener_failure: bool,
}

/// Why the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// No job was left, in [`Mode::Drain`].
    Drained,
    /// Jobs were left in [`Mode::Drain`] that this host cannot run any more: which, and why.
    Left(String),
    /// See [`Settings::shutdown_on_listener_failure`].
    ListenerLost,
}

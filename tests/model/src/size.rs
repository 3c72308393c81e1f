//! What a search goes through: the model, its size, and its faults.

use crate::rules::Rules;

/// The faults of workers and the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A worker is killed.
    pub kill: bool,
    /// A worker is suspended by SIGSTOP, and later resumed.
    pub freeze: bool,
    /// A worker's connections are silent or reset.
    pub cut: bool,
    /// Only the session with locked rows is reset.
    pub sever: bool,
    /// The server is down, and returns without its sessions.
    pub away: bool,
    /// The server does not answer, and later continues with what it had received.
    pub stall: bool,
    /// A statement takes several ticks, before or after it is executed.
    pub slow: bool,
}

impl Faults {
    pub const ALL: Faults =
        Faults { kill: true, freeze: true, cut: true, sever: true, away: true, stall: true, slow: true };
    pub const NONE: Faults =
        Faults { kill: false, freeze: false, cut: false, sever: false, away: false, stall: false, slow: false };
}

/// The size of the model.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub hosts: usize,
    pub python: bool,
    pub jobs: usize,
    /// How many faults one history may have, of these kinds.
    pub faults: u8,
    pub of: Faults,
    /// How many jobs may be cancelled, and hosts told to stop.
    pub cancels: u8,
    pub stops: u8,
    /// All jobs belong to one entrypoint with a limit of one.
    pub limited: bool,
    /// A run may fail.
    pub fail: bool,
    /// The first job kills any host that runs it.
    pub killer: bool,
    /// A killed worker is started again.
    pub respawn: bool,
    /// Hosts lock what they claim.
    pub locks: bool,
    /// A frozen worker may wake up.
    pub wakes: bool,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub rules: Rules,
    pub size: Size,
}

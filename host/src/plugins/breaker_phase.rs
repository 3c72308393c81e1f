//! The phases of a circuit breaker, and how many jobs may start in each.

use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    /// A new version on trial.
    Canary,
    /// On trial after a pause.
    HalfOpen,
    Open {
        until: Instant,
    },
}

/// Values of the gate: any number of jobs may start, a few may, or none.
pub(super) const UNLIMITED: u8 = 0;
const LIMITED: u8 = 1;
pub(super) const BLOCKED: u8 = 2;

impl Phase {
    pub(super) fn gate(self) -> u8 {
        match self {
            Phase::Closed => UNLIMITED,
            Phase::Canary | Phase::HalfOpen => LIMITED,
            Phase::Open { .. } => BLOCKED,
        }
    }
}

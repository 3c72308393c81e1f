//! The operator's rule for circuit breakers.

use std::time::Duration;

/// When a circuit breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// How many of the last runs count, 64 at most.
    pub window: u32,
    /// This many crashes among them open the breaker. 0 disables it.
    pub crashes: u32,
    /// How long it stays open the first time. Each further time lasts twice as long.
    pub pause: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        BreakerRule { window: 40, crashes: 20, pause: Duration::from_secs(30) }
    }
}

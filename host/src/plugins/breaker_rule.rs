//! When a circuit breaker opens: an operator's word.

use std::time::Duration;

/// When a circuit breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRule {
    /// Runs that are looked at, the last ones (64 at most).
    pub window: u32,
    /// So many crashes among them open it; 0 never does.
    pub crashes: u32,
    /// It stays open for so long the first time, and twice as long each further time.
    pub pause: Duration,
}

impl Default for BreakerRule {
    fn default() -> Self {
        BreakerRule { window: 40, crashes: 20, pause: Duration::from_secs(30) }
    }
}

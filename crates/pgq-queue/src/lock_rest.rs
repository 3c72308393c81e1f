//! When a worker does not lock but marks what it claims.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After a host died, claims are marked for so long: a job that ends its hosts has to leave a trace.
/// The same time is in `claim.sql` and the other claims.
pub(super) const AFTER_DEATH: Duration = Duration::from_secs(600);
/// A claim that found a death in the database asks again after so long.
pub(super) const WARY: Duration = Duration::from_secs(20);
/// After a claim that locked rows which this host could not take, or not yet.
pub(super) const SURPLUS: Duration = Duration::from_secs(1);
/// After a claim with a row that cannot be read: whoever marks it keeps it from the next claim.
pub(super) const UNREADABLE: Duration = Duration::from_secs(60);

/// Until when claims are marked.
#[derive(Debug, Default)]
pub(super) struct LockRest(Mutex<Option<Instant>>);

impl LockRest {
    fn state(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().is_none_or(|until| Instant::now() >= until)
    }

    /// A shorter rest never ends a longer one.
    pub(super) fn begin(&self, rest: Duration) {
        let until = Instant::now() + rest;
        let mut state = self.state();
        *state = Some(state.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_rest_ends_no_longer_one() {
        let rest = LockRest::default();
        assert!(rest.is_over());
        rest.begin(Duration::from_secs(600));
        rest.begin(Duration::ZERO);
        assert!(!rest.is_over());
        let rest = LockRest::default();
        rest.begin(Duration::ZERO);
        assert!(rest.is_over());
    }
}

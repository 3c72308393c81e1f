//! Whether the database has answered lately: what a worker may conclude from the silence of others depends on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

/// How a worker's own statements fare. Cheap to clone; the [`Pool`](super::Pool) tells it of every statement.
#[derive(Debug, Clone, Default)]
pub struct Access(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    returns: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// When the first statement began of those that were answered without a failure in between.
    good_since: Option<Instant>,
    /// When the last answer came.
    answered: Option<Instant>,
}

impl Access {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when every statement has been answered. `None` while the last one was not, and before the first.
    pub fn good_since(&self) -> Option<Instant> {
        self.state().good_since
    }

    /// When the last answer came. Silence since then may only mean that nothing was asked.
    pub fn answered(&self) -> Option<Instant> {
        self.state().answered
    }

    /// Changes whenever the database answers again after it did not.
    pub fn returns(&self) -> watch::Receiver<u64> {
        self.0.returns.subscribe()
    }

    /// A statement that began then was answered, perhaps by a refusal.
    pub(super) fn was_answered(&self, began: Instant) {
        let mut state = self.state();
        let returned = state.good_since.is_none() && state.answered.is_some();
        state.good_since.get_or_insert(began);
        state.answered = Some(Instant::now());
        drop(state);
        if returned {
            self.0.returns.send_modify(|returns| *returns += 1);
        }
    }

    /// A statement got no answer, or no session was to be had for it.
    pub(super) fn was_lost(&self) {
        self.state().good_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_good_from_the_first_statement_after_the_last_that_failed() {
        let access = Access::default();
        let returns = access.returns();
        assert!(access.good_since().is_none() && access.answered().is_none());
        let first = Instant::now();
        access.was_answered(first);
        access.was_answered(Instant::now());
        assert_eq!(access.good_since(), Some(first));
        assert!(!returns.has_changed().expect("it lives"), "the first answer is no return");
        access.was_lost();
        assert!(access.good_since().is_none() && access.answered() >= Some(first));
        let again = Instant::now();
        access.was_answered(again);
        assert_eq!(access.good_since(), Some(again));
        assert!(returns.has_changed().expect("it lives"));
    }
}

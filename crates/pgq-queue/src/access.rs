//! How long the database has answered this worker without a break. After an outage, a worker cannot
//! tell a dead worker from one that could not renew its leases either.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::millis::millis;
use crate::boot_clock::BootInstant;

/// Between two readings, the server's clock and ours drift apart by less than this. More is a jump
/// of one clock or a pause of a process.
const JUMP: Duration = Duration::from_secs(2);
/// The slowest answer that counts as good, until [`Access::expect_within`] sets it.
const SLOW: Duration = Duration::from_secs(15);
/// The least that can be set. A busy machine takes as long now and then; with short leases, nobody
/// would ever be judged.
const LEAST_SLOW: Duration = Duration::from_secs(3);

/// Cheap to clone. The [`Pool`](super::Pool) reports every statement to it.
#[derive(Debug, Clone)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How often the database came back.
    back: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    since: Option<BootInstant>,
    /// When the last answer came.
    last: Option<BootInstant>,
    slow: Duration,
    /// The server's clock in milliseconds, as last seen, and when that was.
    clock: Option<(i64, BootInstant)>,
}

impl Default for Access {
    fn default() -> Access {
        let state = State { since: None, last: None, slow: SLOW, clock: None };
        Access(Arc::new(Shared { state: Mutex::new(state), back: watch::Sender::new(0) }))
    }
}

impl Access {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Set the slowest answer that counts as good to half a lease: leases can run out behind a
    /// slower one.
    pub fn expect_within(&self, half_lease: Duration) {
        self.lock().slow = half_lease.max(LEAST_SLOW);
    }

    /// A session ended, or a statement failed for a reason that is not its own.
    pub fn lost(&self) {
        self.lock().since = None;
    }

    pub fn found(&self) {
        self.answered(Duration::ZERO);
    }

    /// A statement that took this long was answered just now, perhaps with an error.
    pub(super) fn answered(&self, took: Duration) {
        self.answered_at(BootInstant::now(), took);
    }

    fn answered_at(&self, now: BootInstant, took: Duration) {
        let mut state = self.lock();
        let was_lost = state.since.is_none();
        // Leases are scanned more often than this. A longer silence means that this process or the
        // server did not run.
        let was_silent = state.last.is_some_and(|last| now - last > state.slow.mul_f64(1.5).max(JUMP));
        if was_lost || was_silent || took > state.slow {
            state.since = Some(now);
        }
        state.last = state.last.max(Some(now));
        drop(state);
        if was_lost {
            self.0.back.send_modify(|times| *times += 1);
        }
    }

    /// Changes whenever the database answers again after an outage.
    pub fn returns(&self) -> watch::Receiver<u64> {
        self.0.back.subscribe()
    }

    /// How long the database has answered without a break; `None` during an outage.
    pub fn unbroken(&self) -> Option<Duration> {
        self.lock().since.map(|since| since.elapsed())
    }

    /// Report the server's clock, read between these two moments. A clock that jumped ahead, or a
    /// server that was paused, makes all leases look old: every worker must get time to renew.
    /// Returns the jump in milliseconds.
    pub fn server_clock(&self, clock_ms: i64, asked: BootInstant, answered: BootInstant) -> Option<i64> {
        let mut state = self.lock();
        if answered - asked > state.slow {
            state.since = Some(answered);
        }
        let last = state.clock.replace((clock_ms, answered));
        let (before_ms, before) = last?;
        let expected = millis(answered - before);
        let jumped = clock_ms - before_ms - expected;
        let tolerated = millis(JUMP.min(state.slow) + (answered - asked));
        if jumped.abs() <= tolerated {
            return None;
        }
        state.since = Some(answered);
        Some(jumped)
    }

    /// Wait this long, or until the database answers again.
    pub async fn pause(&self, longest: Duration) {
        let mut back = self.0.back.subscribe();
        tokio::select! {
            () = tokio::time::sleep(longest) => {}
            _ = back.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_good_from_the_first_answer_after_the_last_failure() {
        let access = Access::default();
        assert_eq!(access.unbroken(), None);
        access.found();
        assert!(access.unbroken().is_some());
        let returns = access.returns();
        access.lost();
        assert_eq!(access.unbroken(), None);
        access.found();
        assert!(access.unbroken().is_some() && returns.has_changed().expect("it lives"));
    }

    #[tokio::test]
    async fn whoever_waits_for_it_is_woken_when_it_is_back() {
        let access = Access::default();
        let waits = access.pause(Duration::from_secs(3600));
        tokio::join!(waits, async { access.found() });
    }

    #[test]
    fn an_answer_that_took_half_a_lease_begins_anew() {
        let access = Access::default();
        access.expect_within(Duration::from_secs(5));
        let now = BootInstant::now() + Duration::from_secs(100);
        access.answered_at(now, Duration::ZERO);
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        access.answered_at(at(6), Duration::from_secs(2));
        assert_eq!(access.lock().since, Some(now));
        access.answered_at(at(13), Duration::from_secs(6));
        assert_eq!(access.lock().since, Some(at(13)));
        // A process that was stopped notices nothing but that time has passed.
        access.answered_at(at(40), Duration::ZERO);
        assert_eq!(access.lock().since, Some(at(40)));
    }

    #[test]
    fn a_jump_of_the_servers_clock_begins_anew() {
        let access = Access::default();
        let now = BootInstant::now();
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        access.answered_at(now, Duration::ZERO);
        assert_eq!(access.server_clock(1_000_000, now, now), None);
        assert_eq!(access.server_clock(1_011_500, at(10), at(10)), None, "clocks are steered");
        assert_eq!(access.lock().since, Some(now));
        assert_eq!(access.server_clock(4_621_500, at(20), at(20)), Some(3_600_000));
        assert_eq!(access.lock().since, Some(at(20)));
        assert_eq!(access.server_clock(1_031_500, at(30), at(30)), Some(-3_600_000));
    }
}

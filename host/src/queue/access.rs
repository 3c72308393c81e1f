//! Since when this worker's way to the database is good. A worker that was cut off, or whose server was, cannot tell a dead worker from one
//! that could not renew its leases either.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::boot_clock::BootInstant;

/// The server's clock and ours drift apart by less than this between two looks; more is a jump of the one or a pause of the other.
const JUMP: Duration = Duration::from_secs(2);
/// What no lease is longer than half of: until a worker says how long its leases are.
const SLOW: Duration = Duration::from_secs(15);
/// A busy machine takes as long now and then, however short its leases are: nobody would ever be judged.
const LEAST_SLOW: Duration = Duration::from_secs(3);

/// What is known of it. Cheap to clone; the [`Pool`](super::Pool) tells it of every statement.
#[derive(Debug, Clone)]
pub struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts how often it came back.
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

    /// A statement that took half a lease is no sign of a good way: leases could run out meanwhile.
    pub fn expect_within(&self, half_lease: Duration) {
        self.lock().slow = half_lease.max(LEAST_SLOW);
    }

    /// It is lost: a statement failed for a reason that is not its own, or a session ended.
    pub fn lost(&self) {
        self.lock().since = None;
    }

    /// It is there.
    pub fn found(&self) {
        self.answered(Duration::ZERO);
    }

    /// A statement was answered just now, after so long, perhaps by a refusal.
    pub(super) fn answered(&self, took: Duration) {
        self.answered_at(BootInstant::now(), took);
    }

    fn answered_at(&self, now: BootInstant, took: Duration) {
        let mut state = self.lock();
        let was_lost = state.since.is_none();
        // Leases are looked at more often than this, so a longer silence means that this process did not run, or its server did not.
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

    /// Changes whenever the database answers again after it did not.
    pub fn returns(&self) -> watch::Receiver<u64> {
        self.0.back.subscribe()
    }

    /// How long it has been good without a break.
    pub fn unbroken(&self) -> Option<Duration> {
        self.lock().since.map(|since| since.elapsed())
    }

    /// What the server's clock said between these two times. A clock that jumped ahead makes all leases look old, and so does a pause of
    /// the server: everybody has to have time to renew. Returns by how many milliseconds it jumped.
    pub fn server_clock(&self, clock_ms: i64, asked: BootInstant, answered: BootInstant) -> Option<i64> {
        let mut state = self.lock();
        if answered - asked > state.slow {
            state.since = Some(answered);
        }
        let last = state.clock.replace((clock_ms, answered));
        let (before_ms, before) = last?;
        let expected = super::millis(answered - before);
        let jumped = clock_ms - before_ms - expected;
        let tolerated = super::millis(JUMP.min(state.slow) + (answered - asked));
        if jumped.abs() <= tolerated {
            return None;
        }
        state.since = Some(answered);
        Some(jumped)
    }

    /// Wait for so long, or until the way to the database is found again.
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

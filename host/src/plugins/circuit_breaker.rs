//! The circuit breaker of one entrypoint of one plugin version. It takes a version that keeps
//! crashing out of service before it uses up the attempts of a whole queue.
//!
//! Results alone come too late for that: hundreds of runs can be in flight before the first result
//! is known. So a version on trial (a canary, or an entrypoint after a pause) gets few jobs at a
//! time, and one more for each that succeeds.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::BreakerRule;
use super::breaker_phase::{BLOCKED, Phase, UNLIMITED};

/// No pause is longer than this.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// Canaries, and versions that return from a pause, are held to a quarter of the crashes.
const TRIAL_DIVISOR: u32 = 4;

/// The state of one breaker.
#[derive(Debug)]
pub struct CircuitBreaker {
    rule: BreakerRule,
    state: Mutex<State>,
    /// A copy of the phase for the code that claims and starts runs, which reads it on every run
    /// and must not take the lock.
    gate: AtomicU8,
    /// Jobs that were claimed for it and have not finished.
    in_flight: AtomicU32,
    /// Notified when the breaker opens. The reload task decides what follows.
    opened: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// The last runs as bits, the latest in the lowest one. 1 is a crash.
    crashes: u64,
    /// Runs since the phase last changed.
    runs: u32,
    /// How many of those runs did not crash.
    successes: u32,
    /// How often it opened without recovering in between.
    opened: u32,
    phase: Phase,
}

impl CircuitBreaker {
    pub(super) fn new(rule: BreakerRule, canary: bool, opened: Arc<Notify>) -> CircuitBreaker {
        let phase = if canary { Phase::Canary } else { Phase::Closed };
        let rule = BreakerRule { window: rule.window.clamp(1, 64), ..rule };
        let state = State { crashes: 0, runs: 0, successes: 0, opened: 0, phase };
        CircuitBreaker {
            rule,
            state: Mutex::new(state),
            gate: AtomicU8::new(phase.gate()),
            in_flight: AtomicU32::new(0),
            opened,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_phase(&self, state: &mut State, phase: Phase) {
        state.phase = phase;
        self.gate.store(phase.gate(), Ordering::Release);
    }

    /// How many crashes among the last runs open it.
    fn limit(&self, phase: Phase) -> u32 {
        if phase == Phase::Closed { self.rule.crashes } else { self.rule.crashes.div_ceil(TRIAL_DIVISOR) }
    }

    pub fn observe(&self, crashed: bool) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Open { .. }) {
            return; // Runs that were in flight when it opened say nothing new.
        }
        state.crashes = state.crashes << 1 | u64::from(crashed);
        state.runs = state.runs.saturating_add(1);
        state.successes = state.successes.saturating_add(u32::from(!crashed));
        let limit = self.limit(state.phase);
        let crashes = (state.crashes << (64 - self.rule.window)).count_ones();
        // The first run after the pause crashed: nothing has improved.
        let relapsed = state.phase == Phase::HalfOpen && crashed && state.successes == 0;
        if limit > 0 && (crashes >= limit || relapsed) {
            let pause = self.rule.pause.saturating_mul(1 << state.opened.min(16)).min(MAX_PAUSE);
            self.set_phase(&mut state, Phase::Open { until: Instant::now() + pause });
            state.opened += 1;
            drop(state);
            self.opened.notify_one();
        } else if state.phase != Phase::Closed && state.runs >= self.rule.window {
            self.set_phase(&mut state, Phase::Closed);
            state.opened = 0;
        }
    }

    /// When the pause ends, if it is open.
    pub fn open_until(&self) -> Option<Instant> {
        match self.lock().phase {
            Phase::Open { until } => Some(until),
            _ => None,
        }
    }

    /// Whether no run may start.
    pub fn is_open(&self) -> bool {
        self.gate.load(Ordering::Acquire) == BLOCKED
    }

    /// How many more jobs may be claimed for it now. `None` means any number.
    pub fn allowance(&self) -> Option<u32> {
        if self.gate.load(Ordering::Acquire) == UNLIMITED {
            return None;
        }
        let state = self.lock();
        let most = match state.phase {
            Phase::Closed => return None,
            _ if self.rule.crashes == 0 => return None,
            Phase::Open { .. } => 0,
            Phase::HalfOpen => state.successes + 1,
            Phase::Canary => self.limit(state.phase).saturating_add(state.successes),
        };
        Some(most.saturating_sub(self.in_flight.load(Ordering::Acquire)))
    }

    /// Count jobs that were claimed for it.
    pub(super) fn enter(&self, jobs: u32) {
        self.in_flight.fetch_add(jobs, Ordering::AcqRel);
    }

    pub(super) fn leave(&self, jobs: u32) {
        self.in_flight.fetch_sub(jobs, Ordering::AcqRel);
    }

    /// Runs since it was created, paused or reset. A canary is promoted by them.
    pub(super) fn runs(&self) -> u32 {
        self.lock().runs
    }

    /// Pause it because another host did, or this host before its restart. Returns whether that
    /// changed anything.
    pub(super) fn pause(&self, until: Instant) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Open { .. }) || self.rule.crashes == 0 {
            return false;
        }
        self.set_phase(&mut state, Phase::Open { until });
        state.opened = state.opened.max(1);
        true
    }

    /// Promote the canary, which has now run often enough over all its entrypoints.
    pub(super) fn promote(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Canary {
            self.set_phase(&mut state, Phase::Closed);
        }
    }

    /// The pause is over: put it on trial.
    pub(super) fn half_open(&self) {
        let mut state = self.lock();
        (state.crashes, state.runs, state.successes) = (0, 0, 0);
        self.set_phase(&mut state, Phase::HalfOpen);
    }

    pub(super) fn reset(&self) {
        let mut state = self.lock();
        (state.crashes, state.runs, state.successes, state.opened) = (0, 0, 0, 0);
        self.set_phase(&mut state, Phase::Closed);
    }

    /// How many of the last runs crashed, and how many there were. For messages.
    pub fn crashes(&self) -> (u32, u32) {
        let state = self.lock();
        ((state.crashes << (64 - self.rule.window)).count_ones(), state.runs.min(self.rule.window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BreakerRule = BreakerRule { window: 10, crashes: 4, pause: Duration::from_secs(60) };

    fn breaker(canary: bool) -> CircuitBreaker {
        CircuitBreaker::new(RULE, canary, Arc::default())
    }

    #[test]
    fn it_opens_when_enough_of_the_last_runs_crashed_and_not_before() {
        let breaker = breaker(false);
        for _ in 0..20 {
            // Three crashes in any ten runs.
            [true, false, false, true, false, false, true, false, false, false]
                .iter()
                .for_each(|crashed| breaker.observe(*crashed));
        }
        assert_eq!(breaker.open_until(), None);
        breaker.observe(true);
        assert!(breaker.open_until().is_none(), "three of the last ten, still");
        (0..3).for_each(|_| breaker.observe(true));
        assert!(breaker.open_until().is_some());
    }

    #[test]
    fn each_relapse_pauses_twice_as_long_and_a_recovery_forgets_it() {
        let breaker = breaker(false);
        let pause = || breaker.open_until().map(|until| until - Instant::now()).expect("open").as_secs_f64().round();
        (0..4).for_each(|_| breaker.observe(true));
        assert!((pause() - 60.0).abs() < 1.0);
        breaker.half_open();
        breaker.observe(true);
        assert!((pause() - 120.0).abs() < 1.0, "on trial, one crash is enough");
        breaker.half_open();
        (0..10).for_each(|_| breaker.observe(false));
        (0..3).for_each(|_| breaker.observe(true));
        assert_eq!(breaker.open_until(), None, "recovered: the full number counts again");
        breaker.observe(true);
        assert!((pause() - 60.0).abs() < 1.0);
    }

    #[test]
    fn none_never_opens() {
        let breaker = CircuitBreaker::new(BreakerRule { crashes: 0, ..RULE }, true, Arc::default());
        (0..100).for_each(|_| breaker.observe(true));
        assert_eq!(breaker.open_until(), None);
    }

    #[test]
    fn what_is_tried_after_a_pause_is_given_one_job_and_one_more_for_each_that_went_well() {
        let breaker = breaker(false);
        assert_eq!(breaker.allowance(), None, "nothing is wrong with it");
        (0..4).for_each(|_| breaker.observe(true));
        assert_eq!(breaker.allowance(), Some(0));
        breaker.half_open();
        assert_eq!(breaker.allowance(), Some(1));
        breaker.enter(1);
        assert_eq!(breaker.allowance(), Some(0));
        breaker.observe(false);
        breaker.leave(1);
        assert_eq!(breaker.allowance(), Some(2));
        breaker.reset();
        (0..4).for_each(|_| breaker.observe(true));
        breaker.half_open();
        breaker.observe(true);
        assert!(breaker.is_open(), "the first crashed");
    }

    #[test]
    fn a_canary_has_no_more_jobs_than_may_crash_until_some_went_well() {
        let breaker = breaker(true);
        assert_eq!(breaker.allowance(), Some(1));
        breaker.enter(1);
        assert_eq!(breaker.allowance(), Some(0));
        breaker.observe(false);
        breaker.leave(1);
        assert_eq!(breaker.allowance(), Some(2));
        (1..10).for_each(|_| breaker.observe(false));
        assert_eq!(breaker.allowance(), None, "it has proved itself");
    }

    #[test]
    fn a_pause_of_another_host_is_kept_and_ends_in_a_trial() {
        let breaker = breaker(false);
        let until = Instant::now() + Duration::from_secs(60);
        assert!(breaker.pause(until) && breaker.open_until() == Some(until) && !breaker.pause(until));
        breaker.half_open();
        assert_eq!((breaker.is_open(), breaker.allowance()), (false, Some(1)));
    }
}

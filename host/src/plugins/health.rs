//! The circuit breaker of one entrypoint of one plugin version: a version that crashes run after run is taken out of service before it has
//! burnt the attempts of a whole queue.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

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

/// A pause never grows beyond this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// After a pause, and for a canary, a quarter of the crashes is enough.
const STRICTER: u32 = 4;

/// What is known about it.
#[derive(Debug)]
pub struct Health {
    rule: BreakerRule,
    state: Mutex<State>,
    /// Told when it opens: the reload task decides what follows.
    opened: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    /// The last runs, the latest in the lowest bit; set for a crash.
    crashes: u64,
    /// Runs since the last change of phase.
    runs: u32,
    /// How often it opened without a recovery in between.
    opened: u32,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    /// Being tried: a canary, or back after a pause.
    Trial,
    Open {
        until: Instant,
    },
}

impl Health {
    pub(super) fn new(rule: BreakerRule, on_trial: bool, opened: Arc<Notify>) -> Health {
        let phase = if on_trial { Phase::Trial } else { Phase::Closed };
        let rule = BreakerRule { window: rule.window.clamp(1, 64), ..rule };
        Health { rule, state: Mutex::new(State { crashes: 0, runs: 0, opened: 0, phase }), opened }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run ended.
    pub fn observe(&self, crashed: bool) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Open { .. }) {
            return; // What was under way when it opened says nothing new.
        }
        state.crashes = state.crashes << 1 | u64::from(crashed);
        state.runs = state.runs.saturating_add(1);
        let on_trial = state.phase == Phase::Trial;
        let limit = if on_trial { self.rule.crashes.div_ceil(STRICTER) } else { self.rule.crashes };
        let crashes = (state.crashes << (64 - self.rule.window)).count_ones();
        if limit > 0 && crashes >= limit {
            let pause = self.rule.pause.saturating_mul(1 << state.opened.min(16)).min(LONGEST_PAUSE);
            state.phase = Phase::Open { until: Instant::now() + pause };
            state.opened += 1;
            drop(state);
            self.opened.notify_one();
        } else if on_trial && state.runs >= self.rule.window {
            (state.phase, state.opened) = (Phase::Closed, 0);
        }
    }

    /// Until when it is open, if it is.
    pub fn open_until(&self) -> Option<Instant> {
        match self.lock().phase {
            Phase::Open { until } => Some(until),
            _ => None,
        }
    }

    /// Runs since it was made, paused or reset, for a canary to be judged by.
    pub(super) fn runs(&self) -> u32 {
        self.lock().runs
    }

    /// The pause is over: try again.
    pub(super) fn try_again(&self) {
        let mut state = self.lock();
        (state.crashes, state.runs, state.phase) = (0, 0, Phase::Trial);
    }

    /// Forget everything.
    pub(super) fn reset(&self) {
        *self.lock() = State { crashes: 0, runs: 0, opened: 0, phase: Phase::Closed };
    }

    /// For people: how many of the last runs crashed.
    pub fn crashes(&self) -> (u32, u32) {
        let state = self.lock();
        ((state.crashes << (64 - self.rule.window)).count_ones(), state.runs.min(self.rule.window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BreakerRule = BreakerRule { window: 10, crashes: 4, pause: Duration::from_secs(60) };

    fn health(on_trial: bool) -> Health {
        Health::new(RULE, on_trial, Arc::default())
    }

    #[test]
    fn it_opens_when_enough_of_the_last_runs_crashed_and_not_before() {
        let health = health(false);
        for _ in 0..20 {
            // Three of any ten runs.
            [true, false, false, true, false, false, true, false, false, false].iter().for_each(|crashed| health.observe(*crashed));
        }
        assert_eq!(health.open_until(), None);
        health.observe(true);
        assert!(health.open_until().is_none(), "three of the last ten, still");
        (0..3).for_each(|_| health.observe(true));
        assert!(health.open_until().is_some());
    }

    #[test]
    fn each_relapse_pauses_twice_as_long_and_a_recovery_forgets_it() {
        let health = health(false);
        let pause = || health.open_until().map(|until| until - Instant::now()).expect("open").as_secs_f64().round();
        (0..4).for_each(|_| health.observe(true));
        assert!((pause() - 60.0).abs() < 1.0);
        health.try_again();
        health.observe(true);
        assert!((pause() - 120.0).abs() < 1.0, "on trial, one crash is enough");
        health.try_again();
        (0..10).for_each(|_| health.observe(false));
        (0..3).for_each(|_| health.observe(true));
        assert_eq!(health.open_until(), None, "recovered: the full number counts again");
        health.observe(true);
        assert!((pause() - 60.0).abs() < 1.0);
    }

    #[test]
    fn none_never_opens() {
        let health = Health::new(BreakerRule { crashes: 0, ..RULE }, true, Arc::default());
        (0..100).for_each(|_| health.observe(true));
        assert_eq!(health.open_until(), None);
    }
}

//! Limits how often jobs of one entrypoint return to the queue at once. Without it, a handler that
//! snoozes for zero seconds, or that fails and retries immediately, would write three log rows
//! thousands of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Jobs that return sooner than this wait for their turn, and for no longer than this. If ten
/// thousand jobs fail together and retry at once, they all run one second later, and none of them
/// runs more than once a second.
const WINDOW: Duration = Duration::from_secs(1);
/// Jobs per second and host that may return sooner.
const RATE: u32 = 100;
/// How many may return at the same moment.
const BURST: u32 = 100;

/// When the next job may return.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// How long a job that asks to return after `delay` has to wait.
    pub fn delay(&self, delay: Duration) -> Duration {
        self.delay_at(delay, Instant::now())
    }

    fn delay_at(&self, delay: Duration, now: Instant) -> Duration {
        if delay >= WINDOW {
            return delay;
        }
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Duration::from_secs(1) / RATE;
        // Unused turns are saved up to the burst size.
        let earliest = now.checked_sub(turn * BURST).unwrap_or(now);
        let mine = next.map_or(earliest, |next| next.clamp(earliest, now + WINDOW));
        *next = Some(mine + turn);
        delay.max(mine.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_come_back_as_they_ask_and_many_in_turn() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let ask = Duration::from_millis(100);
        let delays: Vec<Duration> = (0..400).map(|_| throttle.delay_at(ask, now)).collect();
        assert!(delays[..100].iter().all(|delay| *delay == ask));
        assert!(delays[150] > ask && delays[150] < WINDOW, "{:?}", delays[150]);
        assert_eq!(delays[399], WINDOW, "nobody waits for longer");
        assert_eq!(throttle.delay_at(WINDOW, now), WINDOW, "whoever waits longer is no burden");
        assert_eq!(throttle.delay_at(ask, now + Duration::from_secs(3)), ask);
    }
}

//! How often jobs of one entrypoint may come back at once. A handler that snoozes for no time, or
//! fails over and over and wants to run again at once, would else spend the database on its turns:
//! three log rows each, thousands of times a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A job that comes back sooner than this waits for its turn, and no longer than this: ten thousand
/// jobs that fail together, and ask for another run at once, have it a second later, and none of
/// them has more than one a second.
const SOON: Duration = Duration::from_secs(1);
/// Jobs that come back soon, per second and host.
const RATE: u32 = 100;
/// So many may come back together.
const BURST: u32 = 100;

/// When the next one may come back.
#[derive(Debug, Default)]
pub struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// How long a job waits that is to come back after `delay`.
    pub fn delay(&self, delay: Duration) -> Duration {
        self.delay_at(delay, Instant::now())
    }

    fn delay_at(&self, delay: Duration, now: Instant) -> Duration {
        if delay >= SOON {
            return delay;
        }
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Duration::from_secs(1) / RATE;
        // Turns that were not used are there for later, as many as may come together.
        let earliest = now.checked_sub(turn * BURST).unwrap_or(now);
        let mine = next.map_or(earliest, |next| next.clamp(earliest, now + SOON));
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
        assert!(delays[150] > ask && delays[150] < SOON, "{:?}", delays[150]);
        assert_eq!(delays[399], SOON, "nobody waits for longer");
        assert_eq!(throttle.delay_at(SOON, now), SOON, "whoever waits longer is no burden");
        assert_eq!(throttle.delay_at(ask, now + Duration::from_secs(3)), ask);
    }
}

//! What to expect of an entrypoint's next run, by those before: whether it computes for long.

use std::sync::atomic::{AtomicU8, Ordering};

/// The memory: so many runs of one kind in a row, and nothing is left of the other.
const MOST: u8 = 4;

/// How the last runs were. None yet is as short ones.
#[derive(Debug, Default)]
pub struct Pace(AtomicU8);

impl Pace {
    /// Whether the next run is expected to compute for long.
    pub fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= MOST / 2
    }

    /// A run ended, and was long or not.
    pub fn observe(&self, long: bool) {
        let step = |pace: u8| if long { (pace + 1).min(MOST) } else { pace.saturating_sub(1) };
        let pace = self.0.load(Ordering::Relaxed);
        // Runs that end at the same time may count as one, which is good enough; and nearly all are as the one before.
        if step(pace) != pace {
            self.0.store(step(pace), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_long_runs_make_the_next_a_long_one_and_a_few_short_ones_unmake_it() {
        let pace = Pace::default();
        pace.observe(true);
        pace.observe(false);
        pace.observe(true);
        assert!(!pace.is_long(), "one of two");
        pace.observe(true);
        assert!(pace.is_long());
        (0..100).for_each(|_| pace.observe(true));
        (0..2).for_each(|_| pace.observe(false));
        assert!(pace.is_long(), "an exception or two");
        pace.observe(false);
        assert!(!pace.is_long());
    }
}

//! Predicts from earlier runs whether the next run of an entrypoint will be long.

use std::sync::atomic::{AtomicU8, Ordering};

/// This many runs of one kind in a row erase all memory of the other kind.
const MAX_SCORE: u8 = 4;

/// A score of the last runs. It starts as if they had been short.
#[derive(Debug, Default)]
pub struct RunClass(AtomicU8);

impl RunClass {
    /// Whether the next run is expected to compute for long.
    pub fn is_long(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= MAX_SCORE / 2
    }

    /// Record whether a run was long.
    pub fn observe(&self, long: bool) {
        let step = |long_runs: u8| if long { (long_runs + 1).min(MAX_SCORE) } else { long_runs.saturating_sub(1) };
        let long_runs = self.0.load(Ordering::Relaxed);
        // Two runs that end at the same time may count as one, which is good enough. Nearly all
        // runs are like the one before, so this rarely stores anything.
        if step(long_runs) != long_runs {
            self.0.store(step(long_runs), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_long_runs_make_the_next_a_long_one_and_a_few_short_ones_unmake_it() {
        let run_class = RunClass::default();
        run_class.observe(true);
        run_class.observe(false);
        run_class.observe(true);
        assert!(!run_class.is_long(), "one of two");
        run_class.observe(true);
        assert!(run_class.is_long());
        (0..100).for_each(|_| run_class.observe(true));
        (0..2).for_each(|_| run_class.observe(false));
        assert!(run_class.is_long(), "an exception or two");
        run_class.observe(false);
        assert!(!run_class.is_long());
    }
}

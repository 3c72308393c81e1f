//! How much at a time, and how long to wait then.

use std::time::Duration;

/// Rows that a batch looks at, at most.
pub const DEFAULT_BATCH: usize = 5_000;
/// Beyond it, batches would only be longer.
pub const MAX_BATCH: usize = 100_000;
const LEAST_ROWS: usize = 20;

/// A batch should take about this time: no claim waits for longer than it does for another worker.
const WANTED: Duration = Duration::from_millis(50);
/// While nothing waits, a fourth of the time is spent on batches; while jobs wait, a twentieth.
const IDLE_PAUSE: u32 = 3;
const BUSY_PAUSE: u32 = 19;
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// Less than what a turn lasts.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Pace {
    rows: usize,
    most: usize,
}

impl Pace {
    pub(super) fn new(most: usize) -> Pace {
        Pace { rows: most.clamp(1, DEFAULT_BATCH / 10), most }
    }

    /// How many rows the next batch looks at.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// A batch took this long. Returns the pause after it: in proportion, so that a database that
    /// is slow has more rest.
    pub(super) fn after(&mut self, took: Duration, is_busy: bool) -> Duration {
        if took > WANTED {
            self.rows = (self.rows / 2).max(LEAST_ROWS.min(self.most));
        } else if took < WANTED / 2 {
            self.rows = (self.rows * 2).min(self.most);
        }
        (took * if is_busy { BUSY_PAUSE } else { IDLE_PAUSE }).clamp(LEAST_PAUSE, LONGEST_PAUSE)
    }

    /// A batch failed, for the nth time in a row: a lock was not free, or the database is slow.
    pub(super) fn failed(&mut self, nth: u32) -> Duration {
        self.rows = LEAST_ROWS.min(self.most);
        (FIRST_RETRY * 2_u32.saturating_pow(nth)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn batches_grow_while_they_are_fast_and_shrink_when_they_are_slow() {
        let mut pace = Pace::new(4_000);
        for _ in 0..10 {
            pace.after(MS * 10, false);
        }
        assert_eq!(pace.rows(), 4_000);
        pace.after(MS * 40, false);
        assert_eq!(pace.rows(), 4_000);
        pace.after(MS * 200, false);
        assert_eq!(pace.rows(), 2_000);
        pace.failed(1);
        assert_eq!(pace.rows(), LEAST_ROWS);
        assert_eq!(Pace::new(1).rows(), 1);
    }

    #[test]
    fn pauses_are_in_proportion_and_longer_while_jobs_wait() {
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.after(MS * 20, false), MS * 60);
        assert_eq!(pace.after(MS * 20, true), MS * 380);
        assert_eq!(pace.after(MS * 5_000, true), LONGEST_PAUSE);
        assert_eq!(pace.after(Duration::ZERO, true), LEAST_PAUSE);
        assert!(pace.failed(1) < pace.failed(3) && pace.failed(40) == LONGEST_PAUSE);
    }
}

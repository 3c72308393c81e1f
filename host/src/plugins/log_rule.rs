//! Whose lines are kept with the outcome, and for how long.

use std::time::Duration;

use pgq_job::{Disposition, Printed, Terminal};
use pgq_queue::KeptLines;

/// Whose lines are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepLines {
    /// Those of runs that failed.
    #[default]
    Failures,
    /// Those of all runs.
    All,
    None,
}

/// How much of them is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRule {
    pub keep: KeepLines,
    /// Of a run, its last bytes.
    pub max_bytes: usize,
    pub failures_for: Duration,
    /// Lines of other runs, where they are kept at all.
    pub successes_for: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Default for LogRule {
    fn default() -> LogRule {
        LogRule { keep: KeepLines::default(), max_bytes: 64 << 10, failures_for: DAY * 30, successes_for: DAY * 3 }
    }
}

impl LogRule {
    /// How many bytes of lines a run has to hold ready for its outcome.
    pub fn held_bytes(&self) -> usize {
        if self.keep == KeepLines::None { 0 } else { self.max_bytes }
    }

    /// What is kept of this run.
    pub fn kept(&self, printed: &Printed, disposition: &Disposition) -> Option<KeptLines> {
        let failed = has_failed(disposition);
        let wanted = match self.keep {
            KeepLines::All => true,
            KeepLines::Failures => failed,
            KeepLines::None => false,
        };
        let kept_for = if failed { self.failures_for } else { self.successes_for };
        (wanted && !printed.is_empty()).then(|| KeptLines::new(printed, kept_for, failed))
    }
}

fn has_failed(disposition: &Disposition) -> bool {
    match disposition {
        Disposition::Finished { status, .. } => *status == Terminal::Exception,
        Disposition::Again { counts, .. } => *counts,
        Disposition::Held { .. } => true,
    }
}

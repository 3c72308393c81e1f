//! Which turns are kept whose traces are not sampled.

use std::time::Duration;

use pgq_job::TracedOutcome;

/// The tail: what is kept once it is known how a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Runs that failed, crashed, or lost their jobs.
    pub failed: bool,
    /// Runs that took at least this long.
    pub slow: Option<Duration>,
    /// Whether spans of requests have the paths of their URLs.
    pub paths: bool,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { failed: true, slow: Some(Duration::from_secs(10)), paths: false }
    }
}

impl Keep {
    /// Why a turn that ended so is kept, if it is.
    pub(crate) fn reason(&self, outcome: &TracedOutcome, elapsed: Duration) -> Option<&'static str> {
        if self.failed && outcome.error.is_some() {
            return Some("failed");
        }
        self.slow.is_some_and(|slow| elapsed >= slow).then_some("slow")
    }
}

#[cfg(test)]
mod tests {
    use pgq_job::TracedError;

    use super::*;

    #[test]
    fn what_failed_or_was_slow_is_kept() {
        let keep = Keep { slow: Some(Duration::from_secs(1)), ..Keep::default() };
        let fine = TracedOutcome { action: "complete", error: None };
        let error = Some(TracedError { kind: "Trap".into(), message: String::new() });
        let failed = TracedOutcome { action: "retry", error };
        let (short, long) = (Duration::from_millis(999), Duration::from_secs(1));
        assert_eq!((keep.reason(&fine, short), keep.reason(&fine, long)), (None, Some("slow")));
        assert_eq!(keep.reason(&failed, short), Some("failed"));
        let nothing = Keep { failed: false, slow: None, ..keep };
        assert_eq!((nothing.reason(&failed, long), nothing.reason(&fine, long)), (None, None));
    }
}

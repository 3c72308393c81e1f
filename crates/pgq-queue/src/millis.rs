//! Durations as statements take them.

use std::time::Duration;

use pgq_job::MAX_DELAY;

/// As an interval for a statement to add to `now()` or to take from it. PostgreSQL's times end
/// 2,700 years before the year 1: a thousand years either way can always be said.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.min(MAX_DELAY).as_millis()).unwrap_or(i64::MAX)
}

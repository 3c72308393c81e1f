//! Compares this machine's clock with the server's.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::finding::{CheckResult, Finding};
use super::target::Target;

const SKEWED: Duration = Duration::from_secs(1);
const TRIES: usize = 3;

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let mut read_only = target.read_only().await?;
    let mut best: Option<Reading> = None;
    for _ in 0..TRIES {
        let asked = Utc::now();
        let theirs: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *read_only).await?;
        let reading = Reading::new(asked, theirs, Utc::now());
        if best.as_ref().is_none_or(|best| reading.error < best.error) {
            best = Some(reading);
        }
    }
    Ok(best.map(|reading| reading.finding()).into_iter().collect())
}

/// How far the server's clock is ahead of ours, and the error of that measurement.
#[derive(Debug, Clone, Copy)]
struct Reading {
    ahead: f64,
    error: f64,
}

impl Reading {
    /// The server read its clock at some time between the question and the answer.
    fn new(asked: DateTime<Utc>, theirs: DateTime<Utc>, answered: DateTime<Utc>) -> Reading {
        let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64();
        let error = seconds(asked, answered).abs() / 2.0;
        Reading { ahead: seconds(asked, theirs) - error, error }
    }

    fn finding(self) -> Finding {
        let skew = self.ahead.abs();
        if skew - self.error < SKEWED.as_secs_f64() {
            return Finding::ok(format!(
                "the server's clock is {:.0} ms off this machine's (± {:.0} ms)",
                skew * 1e3,
                self.error * 1e3
            ));
        }
        let direction = if self.ahead > 0.0 { "ahead of" } else { "behind" };
        let why = "leases and due times use the server's clock alone, so no job is lost; but PgQueuer's Python workers compute the next \
                   run of a schedule from their own, TLS certificates are checked against it, and times in logs and tracebacks do not match the queue's";
        let remedy = "timedatectl set-ntp true (or chronyd) on the machine whose clock is wrong";
        Finding::warning(format!("the server's clock is {skew:.1} s {direction} this machine's"), why, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn a_slow_answer_is_no_skew() {
        let at = |millis: i64| DateTime::<Utc>::from_timestamp_millis(1_000_000 + millis).expect("a time");
        let severity = |asked, theirs, answered| Reading::new(at(asked), at(theirs), at(answered)).finding().severity;
        assert_eq!(severity(0, 2_900, 3_000), Severity::Ok, "it may have looked just before it answered");
        assert_eq!(severity(0, 2_000, 10), Severity::Warning);
        assert_eq!(severity(0, -2_000, 10), Severity::Warning);
    }
}

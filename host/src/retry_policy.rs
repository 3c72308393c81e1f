//! From the verdict of a run to what becomes of the row: attempts, back-off, and a traceback that
//! PgQueuer's readers understand.

use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::plugins::Served;
use pgq_job::{Disposition, Fault, FaultKind, JobId, OnFailure, ReleaseReason, Terminal, Verdict};

/// What the decision depends on beside the verdict.
pub struct Case<'a> {
    pub id: JobId,
    /// The number of the run, 1 for the first.
    pub attempt: u32,
    pub me: Uuid,
    /// The plugin and its options.
    pub served: &'a Served,
}

/// Delay of a job for which this host had no instance or memory: long enough for another host to
/// take it.
const NO_ROOM_DELAY: Duration = Duration::from_millis(100);
/// The shortest delay of a job that polls for something. Each of its turns writes three rows of the
/// log.
const MIN_DELAY: Duration = Duration::from_millis(100);
/// Delay of a job whose payload could not be read: a fault of the database takes a while to pass.
const UNREAD_DELAY: Duration = Duration::from_secs(1);
/// Delays of a job whose key is unknown here: they double, from the first to the last.
const KEY_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The longest delay. PostgreSQL's timestamps have an end.
const MAX_DELAY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The verdict on a run whose job was cancelled meanwhile.
pub fn cancelled() -> Verdict {
    Verdict::Discard("cancelled while it ran".into())
}

/// Apply the queue's rules. `jitter` is in 0..1.
pub fn decide(verdict: Verdict, case: &Case<'_>, jitter: f64) -> Disposition {
    match verdict {
        Verdict::Complete { output, follow_ups } => {
            Disposition::Finished { status: Terminal::Successful, traceback: None, output, follow_ups }
        }
        Verdict::Snooze(delay) => {
            Disposition::Again { delay: delay.clamp(MIN_DELAY, MAX_DELAY), counts: false, traceback: None }
        }
        Verdict::Discard(reason) => Disposition::Finished {
            status: Terminal::Canceled,
            traceback: Some(case.traceback(&Fault::new(FaultKind::Discard, reason), None)),
            output: None,
            follow_ups: Vec::new(),
        },
        Verdict::Retry { fault, .. } if case.attempt >= case.served.options.max_attempts => case.failed(&fault),
        Verdict::Retry { fault, after } => {
            let delay = after.unwrap_or_else(|| case.served.options.backoff.delay(case.attempt, jitter)).min(MAX_DELAY);
            // A single retry at once is what many a handler wants; a loop of them is no way to
            // wait.
            let delay = if case.attempt == 1 { delay } else { delay.max(MIN_DELAY) };
            Disposition::Again { delay, counts: true, traceback: Some(case.traceback(&fault, Some(delay))) }
        }
        // Nothing was tried, and nothing of it is wrong for good: it is never deleted.
        Verdict::Reject(fault) if fault.kind == FaultKind::Unopened => {
            Disposition::Held { traceback: case.traceback(&fault, None) }
        }
        Verdict::Reject(fault) => case.failed(&fault),
        Verdict::Release(reason) => {
            let delay = match reason {
                ReleaseReason::PayloadUnread => UNREAD_DELAY,
                ReleaseReason::KeyUnknown(turn) => KEY_DELAYS.0.saturating_mul(1 << turn.min(16)).min(KEY_DELAYS.1),
                ReleaseReason::NoInstance | ReleaseReason::NoMemory => NO_ROOM_DELAY,
                ReleaseReason::HostStopped
                | ReleaseReason::LeaseLost
                | ReleaseReason::EntrypointPaused
                | ReleaseReason::BeginningUnnoted => Duration::ZERO,
            };
            Disposition::Again { delay, counts: false, traceback: None }
        }
    }
}

impl Case<'_> {
    fn failed(&self, fault: &Fault) -> Disposition {
        let traceback = self.traceback(fault, None);
        match self.served.options.on_failure {
            OnFailure::Hold => Disposition::Held { traceback },
            OnFailure::Delete => Disposition::Finished {
                status: Terminal::Exception,
                traceback: Some(traceback),
                output: None,
                follow_ups: Vec::new(),
            },
        }
    }

    /// PgQueuer's six keys. The rest goes into `additional_context`.
    fn traceback(&self, fault: &Fault, retry_delay: Option<Duration>) -> Value {
        let plugin = &self.served.plugin;
        let mut context = json!({
            "entrypoint": &*self.served.entrypoint,
            "queue_manager_id": self.me,
            "attempt": self.attempt,
            "plugin": &*plugin.name,
            "plugin_version": plugin.version,
            "plugin_sha256": plugin.sha256,
        });
        if let Some(delay) = retry_delay {
            context["retry_delay"] = timedelta(delay).into();
            context["reason"] = fault.message.clone().into();
        }
        json!({
            "job_id": self.id,
            "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
            "exception_type": fault.name(),
            "exception_message": fault.message,
            "traceback": fault.traceback,
            "additional_context": context,
        })
    }
}

/// As Python prints a timedelta: `0:00:30`, `1 day, 2:03:04.500000`.
fn timedelta(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let days = match seconds / 86_400 {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    let micros = match duration.subsec_micros() {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    format!("{days}{}:{:02}:{:02}{micros}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timedelta_reads_as_in_python() {
        assert_eq!(timedelta(Duration::from_secs(30)), "0:00:30");
        assert_eq!(timedelta(Duration::from_millis(93_784_500)), "1 day, 2:03:04.500000");
        assert_eq!(timedelta(Duration::from_secs(2 * 86_400)), "2 days, 0:00:00");
    }
}

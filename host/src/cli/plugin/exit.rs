//! How a run ended, in words, as JSON, and as an exit code.

use serde_json::{Value, json};

use super::options;
use pgq_engine::CallReport;
use pgq_engine::digest::hex;
use pgq_job::{EntrypointOptions, Fault, NewJob, OnFailure, Verdict};

/// The result of a run.
pub(super) struct Exit {
    pub(super) report: CallReport,
    pub(super) attempt: u32,
    pub(super) options: EntrypointOptions,
}

impl Exit {
    /// What the queue would do next. `Err` if that counts as a failure.
    pub(super) fn said(&self) -> Result<String, String> {
        match self.verdict() {
            Verdict::Complete { .. } => Ok("complete".into()),
            Verdict::Snooze(time) => Ok(format!("snoozed: it would run again in {}", options::time(*time))),
            Verdict::Discard(reason) => Ok(format!("discarded: {reason}")),
            Verdict::Retry { fault, after } => {
                let most = self.options.max_attempts;
                let next = match (self.attempt < most, after) {
                    (false, _) => format!("it was the last attempt of {most}: the job would be {}", self.buried()),
                    (true, Some(after)) => {
                        format!("attempt {} of {most} would follow in {}", self.attempt + 1, options::time(*after))
                    }
                    (true, None) => {
                        let [least, longest] =
                            [0.0, 1.0].map(|jitter| self.options.backoff.delay(self.attempt, jitter));
                        let (least, longest) = (options::time(least), options::time(longest));
                        format!("attempt {} of {most} would follow in {least} to {longest}", self.attempt + 1)
                    }
                };
                Err(format!("{}; {next}", fault_text(fault)))
            }
            Verdict::Reject(fault) => Err(format!("{}; the job would be {}", fault_text(fault), self.buried())),
            Verdict::Release(reason) => Err(format!("interrupted: {reason}")),
        }
    }

    /// The verdict of the only job.
    fn verdict(&self) -> &Verdict {
        &self.report.verdicts[0]
    }

    fn buried(&self) -> &'static str {
        match self.options.on_failure {
            OnFailure::Hold => "held as `failed`",
            OnFailure::Delete => "deleted, and logged as `exception`",
        }
    }

    pub(super) fn output(&self) -> Option<&[u8]> {
        match self.verdict() {
            Verdict::Complete { output, .. } => output.as_deref(),
            _ => None,
        }
    }

    pub(super) fn follow_ups(&self) -> &[NewJob] {
        match self.verdict() {
            Verdict::Complete { follow_ups, .. } => follow_ups,
            _ => &[],
        }
    }

    /// The guest's backtrace, if there is one.
    pub(super) fn traceback(&self) -> Option<&str> {
        match self.verdict() {
            Verdict::Retry { fault, .. } | Verdict::Reject(fault) => {
                Some(&*fault.traceback).filter(|text| !text.is_empty())
            }
            _ => None,
        }
    }

    pub(super) fn json(&self) -> Value {
        let (outcome, fault) = match self.verdict() {
            Verdict::Complete { .. } => ("complete", None),
            Verdict::Snooze(_) => ("snooze", None),
            Verdict::Discard(_) => ("discard", None),
            Verdict::Retry { fault, .. } => ("retry", Some(fault)),
            Verdict::Reject(fault) => ("reject", Some(fault)),
            Verdict::Release(_) => ("release", None),
        };
        let mut object = json!({
            "outcome": outcome,
            "said": self.said().unwrap_or_else(|failure| failure),
            "fault": fault.map(|fault| json!({
                "exception_type": fault.name(), "message": fault.message, "traceback": fault.traceback,
            })),
            "follow_ups": self.follow_ups().iter().map(follow_up).collect::<Vec<_>>(),
            "elapsed_ms": self.report.elapsed.as_secs_f64() * 1000.0,
            "memory_bytes": self.report.memory,
        });
        put_bytes(&mut object, "output", self.output());
        object
    }
}

fn fault_text(fault: &Fault) -> String {
    format!("{}: {}", fault.name(), fault.message)
}

fn follow_up(job: &NewJob) -> Value {
    let NewJob { entrypoint, payload, priority, delay, dedupe_key, headers } = job;
    let mut object = json!({
        "entrypoint": entrypoint, "priority": priority, "delay_ms": u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        "dedupe_key": dedupe_key, "headers": headers,
    });
    put_bytes(&mut object, "payload", payload.as_deref());
    object
}

/// Add bytes as text under `name`, or in hexadecimal under another name if they are not text.
fn put_bytes(object: &mut Value, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(str::from_utf8) {
        None => object[name] = Value::Null,
        Some(Ok(text)) => object[name] = text.into(),
        Some(Err(_)) => object[format!("{name}_hex")] = hex(bytes.unwrap_or_default()).into(),
    }
}

//! Plain data: a job, the options of its entrypoint, and how a run of it ended. Knows neither SQL nor wasm.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

/// The id of a row in the queue table.
pub type JobId = i64;

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The row's id.
    pub id: JobId,
    /// Higher runs first.
    pub priority: i32,
    /// When it was enqueued, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was due: at once, or when the back-off was over.
    pub due: DateTime<Utc>,
    /// Shared: thousands of claimed jobs name few entrypoints.
    pub entrypoint: Arc<str>,
    /// `None` is SQL NULL.
    pub payload: Option<Vec<u8>>,
    /// The JSON text of the headers as stored: an object, `null`, or whatever a foreign producer wrote.
    pub headers: Option<String>,
    /// How many runs have failed before this one.
    pub attempts: u32,
    /// Which claim of it this is.
    pub claim: Claim,
    /// It was near a worker's death, and is to be run apart.
    pub suspicion: Option<Suspicion>,
    /// Payload and headers are still in the database, so many bytes.
    pub unread: Option<u64>,
    /// What it takes of the bytes that the host may hold, until it is dropped.
    pub share: Option<Arc<dyn Any + Send + Sync>>,
}

/// How a job is run whose worker was lost, until an outcome of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// A few of them at once: it was held by a worker that was lost.
    Few,
    /// With nothing beginning beside it: it had begun among a few, and their worker was lost, too.
    Alone {
        /// Workers that were lost while it ran alone.
        crashes: u32,
    },
}

/// One claim of one job. The database's time of the claim tells it from any other claim of the same job, by the same worker too:
/// a write that names an old claim finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job's id.
    pub id: JobId,
    /// When the row was claimed, to the microsecond.
    pub at: DateTime<Utc>,
}

/// Why a job is given back whose payload could not be read: for another reason than what it is.
pub const UNREAD: &str = "its payload could not be read";

/// PostgreSQL's timestamps end; nobody means a job for a time after the year 3000.
pub const MAX_DELAY: Duration = Duration::from_secs(1_000 * 365 * 24 * 3600);

impl Job {
    /// When it was enqueued.
    pub fn created(&self) -> DateTime<Utc> {
        i64::try_from(self.created_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Which run this is, 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempts.saturating_add(1)
    }
}

/// Headers as a handler gets them: a text as it is, any other value as JSON, to the last digit and however deep. What is no object has no
/// names to ask for.
///
/// # Errors
/// Where the text is no JSON.
pub fn header_texts(json: &str) -> serde_json::Result<BTreeMap<String, String>> {
    if !json.trim_start().starts_with('{') {
        return Ok(BTreeMap::new());
    }
    let headers: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
    let text = |value: &RawValue| match value.get() {
        text if text.starts_with('"') => serde_json::from_str(text),
        other => Ok(compact(other)),
    };
    headers.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect()
}

/// JSON without the blanks between its tokens, which PostgreSQL puts there and nobody else.
pub fn compact(json: &str) -> String {
    let (mut text, mut in_string, mut is_escaped) = (String::with_capacity(json.len()), false, false);
    for c in json.chars() {
        if !in_string && c.is_ascii_whitespace() {
            continue;
        }
        match c {
            '"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = in_string && c == '\\' && !is_escaped;
        text.push(c);
    }
    text
}

/// What becomes of the row of a job that failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// Keep it as `failed`: nothing is lost.
    #[default]
    Hold,
    /// Delete it; the log keeps the `exception`. PgQueuer's default.
    Delete,
}

/// How long to wait before the next run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Before run 2.
    pub initial: Duration,
    /// Each later wait is so many times longer.
    pub multiplier: f64,
    /// No wait is longer.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { initial: Duration::from_secs(1), multiplier: 2.0, max: Duration::from_secs(3600) }
    }
}

impl Backoff {
    /// The wait after so many failed runs (1 or more). `jitter` in 0..1 picks a point in the upper half of the span, so that jobs
    /// which failed together do not come back together, and none comes back sooner than half of what was asked for.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        // In floating point an overflow is infinity, and the cap below takes care of that.
        let span = (self.initial.as_secs_f64() * self.multiplier.powi(exponent)).min(self.max.as_secs_f64());
        Duration::from_secs_f64(span * (0.5 + jitter.clamp(0.0, 1.0) / 2.0))
    }
}

/// What a plugin declared for an entrypoint, under the operator's caps.
#[derive(Debug, Clone, PartialEq)]
pub struct EntrypointOptions {
    /// Runs at most.
    pub max_attempts: u32,
    /// Waits between runs.
    pub backoff: Backoff,
    /// Wall time of one run.
    pub timeout: Duration,
    /// Bytes, summed over all linear memories of one run.
    pub memory: usize,
    /// Jobs that run at once over all workers on the database.
    pub concurrency: Option<u32>,
    /// Jobs that one instance runs, one after the other.
    pub reuse: u32,
    /// Jobs in one call, at most; `None` is one by one, through the other export.
    pub batch: Option<u32>,
    /// What becomes of the row after the last failure.
    pub on_failure: OnFailure,
    /// Cron expressions at whose ticks it is enqueued, as the schedules table has them.
    pub schedules: Vec<String>,
}

impl Default for EntrypointOptions {
    fn default() -> Self {
        EntrypointOptions {
            max_attempts: 25,
            backoff: Backoff::default(),
            timeout: Duration::from_secs(300),
            memory: 256 << 20,
            concurrency: None,
            reuse: 1,
            batch: None,
            on_failure: OnFailure::Hold,
            schedules: Vec::new(),
        }
    }
}

/// A job that is to be enqueued, with another job's outcome or by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewJob {
    /// Who runs it.
    pub entrypoint: String,
    /// `None` is SQL NULL.
    pub payload: Option<Vec<u8>>,
    /// Higher runs first.
    pub priority: i32,
    /// Not before so long from the commit.
    pub delay: Duration,
    /// At most one queued or running job has this key.
    pub dedupe_key: Option<String>,
    /// An object, or nothing.
    pub headers: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Of an entrypoint's name.
const MAX_ENTRYPOINT_BYTES: usize = 255;
/// Of a dedupe key: an entry of its index has 2,704 bytes at most, 12 of them its own. (Longer ones that compress well would fit.)
const MAX_DEDUPE_KEY_BYTES: usize = 2_692;

impl NewJob {
    /// What PostgreSQL would refuse, or nobody can have meant; said while whoever enqueues it can still do something about it.
    ///
    /// # Errors
    /// The limit that was met, and by how much.
    pub fn check(&self) -> Result<(), String> {
        NewJob::check_entrypoint(&self.entrypoint)?;
        self.dedupe_key.as_deref().map_or(Ok(()), NewJob::check_dedupe_key)?;
        let mut headers = self.headers.iter().flatten().flat_map(|(name, value)| [name.as_str(), value.as_str().unwrap_or_default()]);
        headers.try_for_each(without_nul)?;
        NewJob::check_delay(self.delay)
    }

    /// The name alone.
    ///
    /// # Errors
    /// See [`NewJob::check`].
    pub fn check_entrypoint(name: &str) -> Result<(), String> {
        if name.is_empty() || name.len() > MAX_ENTRYPOINT_BYTES {
            return Err(format!("the entrypoint's name has {} bytes; 1 to {MAX_ENTRYPOINT_BYTES} are allowed", name.len()));
        }
        without_nul(name)
    }

    /// The key alone.
    ///
    /// # Errors
    /// See [`NewJob::check`].
    pub fn check_dedupe_key(key: &str) -> Result<(), String> {
        if key.len() > MAX_DEDUPE_KEY_BYTES {
            return Err(format!(
                "the dedupe key has {} bytes; up to {MAX_DEDUPE_KEY_BYTES} are allowed: use a digest of what is longer",
                key.len()
            ));
        }
        without_nul(key)
    }

    /// The delay alone.
    ///
    /// # Errors
    /// See [`NewJob::check`].
    pub fn check_delay(delay: Duration) -> Result<(), String> {
        if delay > MAX_DELAY {
            return Err(format!("a delay of {} s is longer than a thousand years", delay.as_secs()));
        }
        Ok(())
    }
}

fn without_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("names, keys and headers cannot contain the character NUL: PostgreSQL's text has no place for it".into());
    }
    Ok(())
}

/// How one run of a job ended, before the queue's rules (attempts, back-off) are applied to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Done.
    Complete {
        /// Kept when there is one.
        output: Option<Vec<u8>>,
        /// Committed together with the outcome.
        follow_ups: Vec<NewJob>,
    },
    /// Again later, not counted.
    Snooze(Duration),
    /// Not needed any more.
    Discard(String),
    /// Again, if attempts are left.
    Retry {
        /// Why.
        fault: Fault,
        /// Instead of the back-off.
        after: Option<Duration>,
    },
    /// Never again.
    Reject(Fault),
    /// The host could not run it or had to stop it: queued again, not counted.
    Release(&'static str),
}

/// What is written into a job's traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `Retry`, `Reject`, `Trap`, `OutOfMemory`, `Deadline`, ...
    pub exception_type: &'static str,
    /// One line.
    pub message: String,
    /// The guest's backtrace, or nothing.
    pub traceback: String,
}

impl Fault {
    /// A fault without a backtrace.
    pub fn new(exception_type: &'static str, message: impl Into<String>) -> Fault {
        Fault { exception_type, message: message.into(), traceback: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_every_digit_and_every_level() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(
            r#"{{"big": 1e400, "long": 12345678901234567890123, "text": "a \"b\"\n", "list": [1, {{"a b": "c, \\\" d"}}], "deep": {deep}, "": null}}"#
        );
        let headers = header_texts(&json).expect("JSON");
        let wanted = [
            ("", "null"),
            ("big", "1e400"),
            ("deep", &*deep),
            ("list", r#"[1,{"a b":"c, \\\" d"}]"#),
            ("long", "12345678901234567890123"),
            ("text", "a \"b\"\n"),
        ];
        assert!(headers.iter().map(|(name, text)| (&**name, &**text)).eq(wanted));
        for no_object in ["null", "[1]", "\"x\"", "7"] {
            assert!(header_texts(no_object).expect("JSON").is_empty());
        }
        assert!(header_texts("{\"a\": ").is_err());
    }

    #[test]
    fn backoff_grows_to_its_cap_and_never_overflows() {
        let backoff = Backoff { initial: Duration::from_secs(1), multiplier: 2.0, max: Duration::from_secs(60) };
        assert_eq!(backoff.delay(1, 1.0), Duration::from_secs(1));
        assert_eq!(backoff.delay(4, 1.0), Duration::from_secs(8));
        assert_eq!(backoff.delay(4, 0.0), Duration::from_secs(4));
        assert_eq!(backoff.delay(u32::MAX, 1.0), Duration::from_secs(60));
    }
}

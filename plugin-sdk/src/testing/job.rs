//! A job for a test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::Directive;
use crate::job::Source;
use crate::millis::millis;

/// The host's default for `max_attempts`.
const DEFAULT_MAX_ATTEMPTS: u32 = 25;

/// The host's default for `timeout`.
const DEFAULT_TIME_LEFT: Duration = Duration::from_secs(300);

/// A job for a test.
///
/// It starts as the first run of job 1, with neither payload nor headers, five minutes left, and a
/// host that answers [`Directive::Proceed`].
#[derive(Clone, Debug)]
#[must_use = "a test job is run by `TestRun::of`"]
pub struct TestJob {
    id: i64,
    pub(super) entrypoint: String,
    attempt: u32,
    pub(super) max_attempts: Option<u32>,
    priority: i32,
    created: SystemTime,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
    time_left: Duration,
    directive: Directive,
}

impl TestJob {
    /// A job of this entrypoint.
    pub fn new(entrypoint: impl Into<String>) -> Self {
        Self {
            id: 1,
            entrypoint: entrypoint.into(),
            attempt: 1,
            max_attempts: None,
            priority: 0,
            created: SystemTime::now(),
            payload: None,
            headers: Vec::new(),
            time_left: DEFAULT_TIME_LEFT,
            directive: Directive::Proceed,
        }
    }

    /// Set the payload to bytes or text.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(bytes.into());
        self
    }

    /// Set the payload to a value as JSON.
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be represented as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.payload(serde_json::to_vec(value).expect("the test's payload can be represented as JSON"))
    }

    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn id(mut self, id: i64) -> Self {
        self.id = id;
        self
    }

    /// Set the number of the run, 1 for the first.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Set the most runs that there will be. By default, the entrypoint's own number applies.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Set when the job was enqueued.
    pub fn created(mut self, created: SystemTime) -> Self {
        self.created = created;
        self
    }

    /// Set what [`Job::time_left`](crate::Job::time_left) returns.
    pub fn time_left(mut self, time_left: Duration) -> Self {
        self.time_left = time_left;
        self
    }

    /// Set what [`Job::heartbeat`](crate::Job::heartbeat) returns.
    pub fn directive(mut self, directive: Directive) -> Self {
        self.directive = directive;
        self
    }
}

impl Source for TestJob {
    fn id(&self) -> i64 {
        self.id
    }

    fn entrypoint(&self) -> &str {
        &self.entrypoint
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }

    fn max_attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(DEFAULT_MAX_ATTEMPTS)
    }

    fn priority(&self) -> i32 {
        self.priority
    }

    fn created_ms(&self) -> u64 {
        let since_epoch = self.created.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn payload(&self) -> Option<Vec<u8>> {
        self.payload.clone()
    }

    fn headers(&self) -> Vec<(String, String)> {
        self.headers.clone()
    }

    fn time_left_ms(&self) -> u64 {
        millis(self.time_left)
    }

    fn heartbeat(&self) -> Directive {
        self.directive
    }
}

//! Run a plugin's jobs in a unit test: under plain `cargo test`, without a host, a database or wasm.
//!
//! ```
//! use pgq_plugin_sdk::prelude::*;
//! use pgq_plugin_sdk::testing::{TestJob, TestRun};
//!
//! fn shout(_: &Job, Text(words): Text) -> Text {
//!     log::debug!(bytes = words.len(), "shouting");
//!     Text(words.to_uppercase())
//! }
//!
//! let plugin = Plugin::new("shout", "1.0.0").entrypoint(Entrypoint::new("shout", shout));
//!
//! let run = TestRun::of(&plugin, TestJob::new("shout").payload("hello"));
//! assert_eq!(run.result, Ok(Outcome::output("HELLO")));
//! assert_eq!(run.logs[0].field("bytes"), Some("5"));
//!
//! let run = TestRun::of(&plugin, TestJob::new("shout").payload([0xff]));
//! assert!(run.result.unwrap_err().is_final());
//! ```
//!
//! A panic fails the test; in the host it would be a trap, and count like a retry.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::job::Source;
use crate::log::Level;
use crate::millis::millis;
use crate::{Directive, Enqueued, Job, Outcome, Plugin, Result};

/// The host's default of `max_attempts`.
const DEFAULT_MAX_ATTEMPTS: u32 = 25;

/// The host's default of `timeout`.
const DEFAULT_TIME_LEFT: Duration = Duration::from_secs(300);

/// A job made up for a test.
///
/// It starts as the first run of job 1, with neither payload nor headers, five minutes to go, and a
/// host that says [`Directive::Proceed`].
#[derive(Clone, Debug)]
#[must_use = "a test job is run by `TestRun::of`"]
pub struct TestJob {
    id: i64,
    entrypoint: String,
    attempt: u32,
    max_attempts: Option<u32>,
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

    /// The payload, as bytes or text.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(bytes.into());
        self
    }

    /// The payload, as JSON.
    ///
    /// # Panics
    ///
    /// Where the value has no JSON form.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.payload(serde_json::to_vec(value).expect("the test's payload has a JSON form"))
    }

    /// Add a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The job's id.
    pub fn id(mut self, id: i64) -> Self {
        self.id = id;
        self
    }

    /// Which run it is, 1 for the first.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// How many runs there will be at most. Without it the entrypoint's own number holds.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// The job's priority.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// When the job was enqueued.
    pub fn created(mut self, created: SystemTime) -> Self {
        self.created = created;
        self
    }

    /// What [`Job::time_left`] says, all the time.
    pub fn time_left(mut self, time_left: Duration) -> Self {
        self.time_left = time_left;
        self
    }

    /// What [`Job::heartbeat`] says, all the time.
    pub fn directive(mut self, directive: Directive) -> Self {
        self.directive = directive;
        self
    }
}

impl Source for TestJob {
    fn id(&self) -> i64 {
        self.id
    }

    fn entrypoint(&self) -> String {
        self.entrypoint.clone()
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

    fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
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

/// What came of running one job.
#[derive(Debug)]
#[must_use = "look at what came of the run"]
pub struct TestRun {
    /// What the host would have been told.
    pub result: Result<Outcome>,
    /// What was logged, in order.
    pub logs: Vec<LogLine>,
    /// What the host would have enqueued: nothing, unless the job completed.
    pub enqueued: Vec<Enqueued>,
}

/// One line of the job's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of one field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl TestRun {
    /// Run the job as the host would, by the entrypoint's name.
    pub fn of(plugin: &Plugin, mut job: TestJob) -> Self {
        if job.max_attempts.is_none() {
            let entrypoint = plugin.find(&job.entrypoint);
            job.max_attempts = entrypoint.and_then(|entrypoint| entrypoint.attempts());
        }

        let recording = Recording::start();
        let result = plugin.run(&Job::new(&job));
        let (logs, mut enqueued) = recording.finish();
        if !matches!(result, Ok(Outcome::Complete(_))) {
            enqueued.clear();
        }
        Self {
            result,
            logs,
            enqueued,
        }
    }
}

thread_local! {
    /// What the run on this thread has logged and submitted. `cargo test` has one thread per test.
    static RECORDED: RefCell<Option<Recorded>> = const { RefCell::new(None) };
}

type Recorded = (Vec<LogLine>, Vec<Enqueued>);

/// Owns the thread's recording and gives it up even when a handler panics.
struct Recording;

impl Recording {
    fn start() -> Self {
        RECORDED.replace(Some(Recorded::default()));
        Self
    }

    fn finish(self) -> Recorded {
        RECORDED.take().unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDED.take();
    }
}

/// Outside of a run (a helper called by a test) the line goes to stderr.
pub(crate) fn emit(level: Level, message: &str, fields: &[(&str, String)]) {
    let line = LogLine {
        level,
        message: message.to_owned(),
        fields: fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    };
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some((logs, _)) => logs.push(line),
        None => eprintln!("{level:?} {message} {:?}", line.fields),
    });
}

/// Outside of a run there is no job whose outcome a request could be committed with.
pub(crate) fn submit(job: Enqueued) -> Result<(), String> {
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some((_, enqueued)) => {
            enqueued.push(job);
            Ok(())
        }
        None => Err("no job is running; use `TestRun::of`".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[derive(Deserialize)]
    struct Order {
        id: u64,
    }

    fn pack(_: &Job, Json(order): Json<Order>) -> Result<Outcome> {
        log::info!("packing");
        Request::new("ship").json(&order.id)?.priority(5).submit()?;
        match order.id {
            0 => Err(Failure::retry("nothing to pack")),
            1 => Ok(Outcome::snooze(Duration::from_secs(1))),
            _ => Outcome::json(&order.id),
        }
    }

    fn report(job: &Job) -> Json<(i64, u32, u32, bool)> {
        Json((
            job.id(),
            job.attempt(),
            job.max_attempts(),
            job.is_last_attempt(),
        ))
    }

    fn stop(job: &Job) -> std::result::Result<(), std::fmt::Error> {
        if job.heartbeat().should_stop() {
            return Err(std::fmt::Error);
        }
        Ok(())
    }

    fn plugin() -> Plugin {
        Plugin::new("test", "1.0.0")
            .entrypoint(Entrypoint::new("pack", pack))
            .entrypoint(Entrypoint::new("report", report).max_attempts(3))
            .entrypoint(Entrypoint::new("stop", stop))
    }

    fn run(job: TestJob) -> TestRun {
        TestRun::of(&plugin(), job)
    }

    #[test]
    fn a_job_that_completes_enqueues_what_it_submitted() {
        let run = run(TestJob::new("pack").json(&json!({ "id": 7 })));
        assert_eq!(run.result, Ok(Outcome::output("7")));
        assert_eq!(run.logs[0].message, "packing");
        let [ship] = &run.enqueued[..] else {
            panic!("{:?}", run.enqueued)
        };
        assert_eq!(ship.entrypoint, "ship");
        assert_eq!(ship.payload.as_deref(), Some(&b"7"[..]));
        assert_eq!(ship.priority, 5);
    }

    #[test]
    fn a_job_that_does_not_complete_enqueues_nothing() {
        for id in [0, 1] {
            let run = run(TestJob::new("pack").json(&json!({ "id": id })));
            assert_eq!(run.enqueued, []);
            assert_eq!(run.logs.len(), 1);
        }
    }

    #[test]
    fn the_entrypoint_says_how_many_attempts_there_are() {
        let first = run(TestJob::new("report"));
        assert_eq!(first.result, Ok(Outcome::output("[1,1,3,false]")));
        let last = run(TestJob::new("report").id(9).attempt(3));
        assert_eq!(last.result, Ok(Outcome::output("[9,3,3,true]")));
    }

    #[test]
    fn an_error_is_a_retry() {
        let run = run(TestJob::new("stop").directive(Directive::ShuttingDown));
        assert!(!run.result.unwrap_err().is_final());
    }

    #[test]
    fn an_unknown_entrypoint_is_refused() {
        let failure = run(TestJob::new("pakc")).result.unwrap_err();
        assert_eq!(
            failure,
            Failure::reject("plugin test 1.0.0 does not serve the entrypoint `pakc`")
        );
    }

    #[test]
    fn a_request_outside_of_a_run_is_an_error() {
        let error = Request::new("ship").submit().unwrap_err();
        assert!(error.to_string().contains("no job is running"));
    }
}

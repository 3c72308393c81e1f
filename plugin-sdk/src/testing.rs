//! Run a plugin's jobs in a unit test: under plain `cargo test`, without a host, a database or
//! wasm.
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

mod job;
#[cfg(feature = "postgres")]
mod postgres;
mod recorder;
mod sql;

pub use job::TestJob;
#[cfg(feature = "postgres")]
pub use postgres::TestPostgres;
pub use recorder::LogLine;
use recorder::Recording;
pub(crate) use recorder::{emit, submit};
use sql::TestDatabase;
pub use sql::TestRows;
pub(crate) use sql::{SqlCursor, sql_execute, sql_query, sql_savepoint};

use crate::sql::{Error, Value};
use crate::{Enqueued, Job, Outcome, Plugin, Result};

/// The result of running one job.
#[derive(Debug)]
#[must_use = "check the result of the run"]
pub struct TestRun {
    /// What the host would receive.
    pub result: Result<Outcome>,
    /// What was logged, in order.
    pub logs: Vec<LogLine>,
    /// What the host would enqueue: nothing, unless the job completed.
    pub enqueued: Vec<Enqueued>,
}

impl TestRun {
    /// The same with a database: every statement is answered by `answer`, which gets its text and its
    /// parameters. Savepoints come as `SAVEPOINT`, `RELEASE` and `ROLLBACK`.
    ///
    /// ```
    /// # use pgq_plugin_sdk::prelude::*;
    /// # use pgq_plugin_sdk::testing::{TestJob, TestRows, TestRun};
    /// use pgq_plugin_sdk::sql::ToSql;
    ///
    /// fn count(_: &Job) -> Result<Text> {
    ///     let (count,): (i64,) = sql::query("SELECT count(*) FROM item", &[])?.one()?;
    ///     Ok(Text(count.to_string()))
    /// }
    ///
    /// let plugin = Plugin::new("count", "1.0.0").entrypoint(Entrypoint::new("count", count));
    /// let run = TestRun::with_sql(&plugin, TestJob::new("count"), |statement, _| {
    ///     assert!(statement.starts_with("SELECT"));
    ///     Ok(TestRows::new(&["count"], vec![vec![7_i64.to_sql()]]))
    /// });
    /// assert_eq!(run.result, Ok(Outcome::output("7")));
    /// ```
    pub fn with_sql(
        plugin: &Plugin,
        job: TestJob,
        answer: impl FnMut(&str, &[Value]) -> Result<TestRows, Error> + 'static,
    ) -> Self {
        let _database = TestDatabase::start(Box::new(answer));
        Self::of(plugin, job)
    }

    /// The same with a real database. As in the host, all statements of a run are one transaction: if
    /// the run ends well they stay, for the rest of the test, and if it fails they are undone. Constraints that
    /// are put off to the commit are checked at its end.
    #[cfg(feature = "postgres")]
    pub fn with_postgres(plugin: &Plugin, job: TestJob, database: &TestPostgres) -> Self {
        let run = match database.begin() {
            Ok(()) => Self::with_sql(plugin, job, database.answers()),
            Err(error) => Self { result: Err(error.into()), logs: Vec::new(), enqueued: Vec::new() },
        };
        match database.end(run.result.is_ok()) {
            Ok(()) => run,
            Err(error) => {
                let why = crate::Failure::retry(format!("CommitRefused: {error}"));
                Self { result: Err(why), enqueued: Vec::new(), ..run }
            }
        }
    }

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
        Self { result, logs, enqueued }
    }
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
        Json((job.id(), job.attempt(), job.max_attempts(), job.is_last_attempt()))
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
        let [ship] = &run.enqueued[..] else { panic!("{:?}", run.enqueued) };
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
        assert_eq!(failure, Failure::reject("plugin test 1.0.0 does not serve the entrypoint `pakc`"));
    }

    #[test]
    fn a_request_outside_of_a_run_is_an_error() {
        let error = Request::new("ship").submit().unwrap_err();
        assert!(error.to_string().contains("no job is running"));
    }
}

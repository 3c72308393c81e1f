//! One entrypoint: its name, its handler and its options.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::declaration::Object;
use crate::handler::{BoxedBatchHandler, BoxedHandler, Handler};
use crate::millis::millis;
use crate::{Failure, Job, Outcome, Reply, Result};

/// A name under which jobs are enqueued, and the handler that runs them.
///
/// What is not set has the host's default, and an operator's cap always wins.
///
/// ```
/// # use pgq_plugin_sdk::prelude::*;
/// # fn sweep(_: &Job) {}
/// Entrypoint::new("sweep", sweep)
///     .max_attempts(3)
///     .backoff(Duration::from_secs(5), 2.0, Duration::from_secs(300))
///     .timeout(Duration::from_secs(30))
///     .memory(64 << 20)
///     .concurrency(1)
///     .on_failure(OnFailure::Delete)
///     .schedule("*/15 * * * *");
/// ```
#[must_use = "an entrypoint is served once it is added to a `Plugin`"]
pub struct Entrypoint {
    name: Cow<'static, str>,
    handler: Handlers,
    options: Options,
}

enum Handlers {
    One(BoxedHandler),
    Batch(BoxedBatchHandler),
}

#[derive(Debug, Default)]
struct Options {
    max_attempts: Option<u32>,
    backoff: Option<Backoff>,
    timeout: Option<Duration>,
    memory: Option<u64>,
    concurrency: Option<u32>,
    reuse: Option<u32>,
    batch: Option<u32>,
    on_failure: Option<OnFailure>,
    schedules: Vec<Schedule>,
}

#[derive(Debug)]
struct Schedule {
    expression: Cow<'static, str>,
    /// `None` means UTC.
    time_zone: Option<Cow<'static, str>>,
}

#[derive(Clone, Copy, Debug)]
struct Backoff {
    initial: Duration,
    multiplier: f64,
    max: Duration,
}

/// What happens to the row of a job that failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Keep the row, with its payload, as `failed`, so that `pgq-host requeue` can bring it back.
    Hold,
    /// Delete the row; the queue's log keeps the exception.
    Delete,
}

impl Entrypoint {
    /// Serve jobs of this name (1 to 255 bytes) with this handler.
    ///
    /// A handler is a function `fn(&Job) -> R` or `fn(&Job, P) -> R`; see [`Handler`].
    pub fn new<Args>(name: impl Into<Cow<'static, str>>, handler: impl Handler<Args> + 'static) -> Self {
        Self {
            name: name.into(),
            handler: Handlers::One(Box::new(move |job| handler.run(job))),
            options: Options::default(),
        }
    }

    /// Serve jobs of this name with a handler that takes up to `max_jobs` of them in one call, to
    /// share an expensive set-up.
    ///
    /// It returns one [`Reply`] per job, in their order. If the call crashes (a panic, or the
    /// timeout, which applies to the whole call), each job runs again at once in a separate call.
    /// So one bad job fails alone, but the others repeat what they did before the crash. In a
    /// batch, [`Request::submit`](crate::Request::submit) is rejected.
    ///
    /// ```
    /// # use pgq_plugin_sdk::prelude::*;
    /// fn lengths(jobs: &[Job<'_>]) -> Vec<Text> {
    ///     jobs.iter().map(|job| Text(job.payload().unwrap_or_default().len().to_string())).collect()
    /// }
    /// # let _ =
    /// Entrypoint::batch("lengths", 100, lengths)
    /// # ;
    /// ```
    pub fn batch<R: Reply>(
        name: impl Into<Cow<'static, str>>,
        max_jobs: u32,
        handler: impl Fn(&[Job<'_>]) -> Vec<R> + 'static,
    ) -> Self {
        let handler = move |jobs: &[Job<'_>]| handler(jobs).into_iter().map(Reply::reply).collect();
        let options = Options { batch: Some(max_jobs), ..Options::default() };
        Self { name: name.into(), handler: Handlers::Batch(Box::new(handler)), options }
    }

    /// The most times a job runs before it fails for good (default 25).
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.max_attempts = Some(attempts);
        self
    }

    /// How long to wait between runs: `initial` before the second, then each time `multiplier`
    /// times longer, up to `max` (default 1 s, 2, 1 h).
    ///
    /// Every wait is drawn from the upper half of its span, so that jobs which failed together do
    /// not return together. Durations are rounded up to whole milliseconds.
    pub fn backoff(mut self, initial: Duration, multiplier: f64, max: Duration) -> Self {
        self.options.backoff = Some(Backoff { initial, multiplier, max });
        self
    }

    /// The wall time of one run, after which it is interrupted (default 5 min). In whole
    /// milliseconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// The most memory of one run in bytes (default 256 MiB).
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory = Some(bytes);
        self
    }

    /// The most jobs of this entrypoint that run at once, over all workers of the queue (default:
    /// no limit). Python workers that serve the same entrypoint must use the same number.
    pub fn concurrency(mut self, limit: u32) -> Self {
        self.options.concurrency = Some(limit);
        self
    }

    /// Keep the instance that ran a job of this entrypoint for the next ones, up to this many jobs
    /// (default: an instance per job).
    ///
    /// What is set up once, in a `static` or a `thread_local!`, then serves all of them; so does
    /// anything that a job leaves there by mistake. An instance is dropped after a call that
    /// crashed, and after some seconds without a job, so never rely on getting the same one.
    pub fn reuse(mut self, max_jobs: u32) -> Self {
        self.options.reuse = Some(max_jobs);
        self
    }

    /// What happens to a job that failed for good (default [`OnFailure::Hold`]).
    pub fn on_failure(mut self, action: OnFailure) -> Self {
        self.options.on_failure = Some(action);
        self
    }

    /// Enqueue a job of this entrypoint at each tick of a cron expression in UTC: five fields, or
    /// six with the seconds last, or seven with the year after them. Call it again for a second
    /// schedule.
    ///
    /// The job has no payload. Its headers say which tick it is for: `{"pgq_schedule":
    /// {"expression": "0 9 * * *", "scheduled_for": "2026-03-01T09:00:00Z"}}`.
    pub fn schedule(mut self, expression: impl Into<Cow<'static, str>>) -> Self {
        self.options.schedules.push(Schedule { expression: expression.into(), time_zone: None });
        self
    }

    /// The same in the local time of a time zone, by its IANA name: `.schedule_in("0 9 * * *",
    /// "Europe/Berlin")`.
    ///
    /// A local time that is skipped in spring is due right after the gap, and one that occurs twice
    /// in autumn is due once. An expression that is due in every hour simply continues.
    pub fn schedule_in(
        mut self,
        expression: impl Into<Cow<'static, str>>,
        time_zone: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.options.schedules.push(Schedule { expression: expression.into(), time_zone: Some(time_zone.into()) });
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn run(&self, job: &Job) -> Result<Outcome> {
        match &self.handler {
            Handlers::One(handler) => handler(job),
            Handlers::Batch(handler) => match <[_; 1]>::try_from(handler(std::slice::from_ref(job))) {
                Ok([result]) => result,
                Err(results) => Err(Failure::reject(format!(
                    "the batch has one job, and its handler returned {} results",
                    results.len()
                ))),
            },
        }
    }

    pub(crate) fn run_batch(&self, jobs: &[Job<'_>]) -> Vec<Result<Outcome>> {
        match &self.handler {
            Handlers::One(handler) => jobs.iter().map(handler).collect(),
            Handlers::Batch(handler) => handler(jobs),
        }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn attempts(&self) -> Option<u32> {
        self.options.max_attempts
    }

    pub(crate) fn declaration(&self) -> Object {
        let options = &self.options;
        let mut declaration = Object::new()
            .text("name", &self.name)
            .number("max-attempts", options.max_attempts)
            .number("timeout-ms", options.timeout.map(millis))
            .number("memory", options.memory)
            .number("concurrency", options.concurrency)
            .number("reuse", options.reuse)
            .number("batch", options.batch);
        if let Some(Backoff { initial, multiplier, max }) = options.backoff {
            let backoff = Object::new()
                .number("initial-ms", Some(millis(initial)))
                .factor("multiplier", multiplier)
                .number("max-ms", Some(millis(max)));
            declaration = declaration.object("backoff", backoff);
        }
        if let Some(action) = options.on_failure {
            declaration = declaration.text("on-failure", action.name());
        }
        declaration.objects("schedules", options.schedules.iter().map(Schedule::declaration))
    }
}

impl Schedule {
    fn declaration(&self) -> Object {
        let schedule = Object::new().text("expression", &self.expression);
        match &self.time_zone {
            None => schedule,
            Some(time_zone) => schedule.text("time-zone", time_zone),
        }
    }
}

impl OnFailure {
    fn name(self) -> &'static str {
        match self {
            OnFailure::Hold => "hold",
            OnFailure::Delete => "delete",
        }
    }
}

impl fmt::Debug for Entrypoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entrypoint").field("name", &self.name).field("options", &self.options).finish_non_exhaustive()
    }
}

//! The current job.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The job that a handler runs, for the duration of that call.
///
/// The payload and the headers are copied out of the host each time, so read a large payload only
/// once.
pub struct Job<'call> {
    source: &'call dyn Source,
}

/// What the host asks of a running handler. See [`Job::heartbeat`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Continue.
    Proceed,
    /// The job was cancelled. It is over, whatever the handler returns.
    Cancelled,
    /// The host will stop soon. A handler that has not returned by the end of the grace period is
    /// interrupted. Its job is requeued, and the attempt does not count.
    ShuttingDown,
    /// Another worker owns the job now, so nothing that this call returns is recorded.
    LeaseLost,
}

impl Directive {
    /// Whether the handler should return now.
    #[must_use]
    pub fn should_stop(self) -> bool {
        self != Self::Proceed
    }
}

impl<'call> Job<'call> {
    pub(crate) fn new(source: &'call dyn Source) -> Self {
        Self { source }
    }

    /// The id of the row in the queue table, which is the same for every attempt. After a fail-over
    /// to a replica that lagged behind, the database may give an id to a second job: see
    /// [`idempotency_key`](Self::idempotency_key).
    #[must_use]
    pub fn id(&self) -> i64 {
        self.source.id()
    }

    /// A key by which a receiver can recognize this job, however often it runs: the header
    /// `idempotency-key` if the producer set one, otherwise the id and the time of enqueueing, as
    /// in `pgq-42-1767225600000`.
    ///
    /// Only the producer's own key survives the loss of the row itself: a producer that enqueues
    /// the same work again, because its job vanished in a fail-over, sends the same key again.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let key = self.header("idempotency-key").filter(|key| !key.is_empty());
        key.unwrap_or_else(|| format!("pgq-{}-{}", self.id(), self.source.created_ms()))
    }

    /// The name under which the job was enqueued.
    #[must_use]
    pub fn entrypoint(&self) -> String {
        self.source.entrypoint().to_owned()
    }

    pub(crate) fn entrypoint_name(&self) -> &'call str {
        self.source.entrypoint()
    }

    /// The number of this run, 1 for the first. Snoozed and released runs do not count.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.source.attempt()
    }

    /// The most runs that there will be.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.source.max_attempts()
    }

    /// Whether a retry of this run would fail the job for good.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt() >= self.max_attempts()
    }

    /// Jobs with a higher priority run first.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.source.priority()
    }

    /// When the job was enqueued, to the millisecond.
    #[must_use]
    pub fn created(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.source.created_ms())
    }

    /// The bytes that the producer stored. `None` if it stored SQL `NULL`.
    ///
    /// A second argument ([`Json`](crate::Json), [`Text`](crate::Text), [`Bytes`](crate::Bytes)) is
    /// the shorter way.
    #[must_use]
    pub fn payload(&self) -> Option<Vec<u8>> {
        self.source.payload()
    }

    /// One header. A string is returned as its text, any other JSON value as JSON.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found = self.headers().into_iter().rev().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value)
    }

    /// All headers, in the form of [`header`](Self::header).
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        self.source.headers()
    }

    /// The wall time until the host interrupts this call, to the millisecond.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(self.source.time_left_ms())
    }

    /// Ask whether to continue. This is cheap: a long handler asks now and then, and returns early
    /// when [told to](Directive::should_stop).
    ///
    /// The host keeps the job's lease alive by itself. A handler that never asks only misses the
    /// warning.
    #[must_use]
    pub fn heartbeat(&self) -> Directive {
        self.source.heartbeat()
    }
}

/// Where a job's data comes from: the host, or a test.
pub(crate) trait Source {
    fn id(&self) -> i64;
    fn entrypoint(&self) -> &str;
    fn attempt(&self) -> u32;
    fn max_attempts(&self) -> u32;
    fn priority(&self) -> i32;
    fn created_ms(&self) -> u64;
    fn payload(&self) -> Option<Vec<u8>>;
    fn headers(&self) -> Vec<(String, String)>;
    fn time_left_ms(&self) -> u64;
    fn heartbeat(&self) -> Directive;
}

//! Follow-up jobs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::{Enqueued, Failure, Result, host};

/// A job to be enqueued when the current one completes.
///
/// It is inserted in the transaction that records
/// [`Outcome::Complete`](crate::Outcome::Complete): either both happen or neither does. A run that
/// ends in any other way enqueues nothing.
///
/// ```
/// # use pgq_plugin_sdk::prelude::*;
/// fn uploaded(_: &Job, Bytes(photo): Bytes) -> Result<()> {
///     Request::new("thumbnail")
///         .payload(photo)
///         .header("width", "320")
///         .priority(5)
///         .delay(Duration::from_secs(10))
///         .dedupe_key("thumbnail-320")
///         .submit()?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a request does nothing until `submit`"]
pub struct Request(pub(crate) Enqueued);

impl Request {
    /// A job of this entrypoint, of this plugin or any other worker on the queue.
    pub fn new(entrypoint: impl Into<String>) -> Self {
        Self(Enqueued { entrypoint: entrypoint.into(), ..Enqueued::default() })
    }

    /// The bytes (or the text) that the handler will get.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.payload = Some(bytes.into());
        self
    }

    /// A value that the handler will get as JSON.
    ///
    /// # Errors
    ///
    /// Rejects the current job if the value cannot be represented as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        match serde_json::to_vec(value) {
            Ok(bytes) => Ok(self.payload(bytes)),
            Err(error) => Err(Failure::reject(format!(
                "the payload for `{}` cannot be represented as JSON: {error}",
                self.0.entrypoint
            ))),
        }
    }

    /// Jobs with a higher priority run first (default 0).
    pub fn priority(mut self, priority: i32) -> Self {
        self.0.priority = priority;
        self
    }

    /// Run no earlier than this long after the commit (default 0), rounded up to whole
    /// milliseconds.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.0.delay = delay;
        self
    }

    /// At most one job with this key is queued or running at a time, over all entrypoints.
    ///
    /// If there is one at the commit, this request is dropped without an error.
    pub fn dedupe_key(mut self, key: impl Into<String>) -> Self {
        self.0.dedupe_key = Some(key.into());
        self
    }

    /// Add a header with a text value.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// Hand the request to the host, which keeps it until the job's outcome is committed.
    ///
    /// # Errors
    ///
    /// Fails if a limit is exceeded, or if the plugin may not enqueue jobs of this entrypoint.
    pub fn submit(self) -> Result<(), EnqueueError> {
        host::submit(self.0).map_err(EnqueueError)
    }
}

/// The host rejected a request. The text names the limit that was exceeded, or the entrypoint that
/// is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnqueueError(String);

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request was not enqueued: {}", self.0)
    }
}

impl std::error::Error for EnqueueError {}

//! How a run succeeded.

use std::time::Duration;

use serde::Serialize;

use crate::bindings::pgq::plugin::jobs;
use crate::millis::millis;
use crate::{Failure, Result};

/// The handler did its part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an outcome takes effect when the handler returns it"]
pub enum Outcome {
    /// The job is done. The bytes, if any, are stored as its output.
    Complete(Option<Vec<u8>>),
    /// Not now: run the job again after this time, in whole milliseconds. Does not count as an
    /// attempt.
    Snooze(Duration),
    /// The job is no longer needed, for this reason. Logged as `canceled`.
    Discard(String),
}

impl Outcome {
    /// Done, without an output.
    pub fn done() -> Self {
        Self::Complete(None)
    }

    /// Done, with these bytes (or this text) as the job's output.
    pub fn output(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Complete(Some(bytes.into()))
    }

    /// Done, with this value as JSON as the job's output.
    ///
    /// # Errors
    ///
    /// Rejects the job if the value cannot be represented as JSON (such as a map whose keys are not
    /// text).
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        match serde_json::to_vec(value) {
            Ok(bytes) => Ok(Self::output(bytes)),
            Err(error) => Err(Failure::reject(format!("the output cannot be represented as JSON: {error}"))),
        }
    }

    /// Not now: run the job again after this time, rounded up to whole milliseconds.
    pub fn snooze(after: Duration) -> Self {
        Self::Snooze(after)
    }

    /// The job is no longer needed.
    pub fn discard(reason: impl Into<String>) -> Self {
        Self::Discard(reason.into())
    }
}

impl From<Outcome> for jobs::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete(output) => Self::Complete(output),
            Outcome::Snooze(after) => Self::Snooze(millis(after)),
            Outcome::Discard(reason) => Self::Discard(reason),
        }
    }
}

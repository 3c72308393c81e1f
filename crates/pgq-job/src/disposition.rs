//! What happens to a job's row after a run.

use std::time::Duration;

use serde_json::Value;

use super::NewJob;

/// The status with which a job leaves the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    Successful,
    Canceled,
    /// Failed for good, and is not held.
    Exception,
}

impl Terminal {
    /// The label in the log table.
    pub fn label(self) -> &'static str {
        match self {
            Terminal::Successful => "successful",
            Terminal::Canceled => "canceled",
            Terminal::Exception => "exception",
        }
    }
}

/// What happens to the row.
#[derive(Debug, Clone, PartialEq)]
pub enum Disposition {
    Finished {
        status: Terminal,
        traceback: Option<Value>,
        /// Stored in the output table.
        output: Option<Vec<u8>>,
        /// Enqueued in the same statement.
        follow_ups: Vec<NewJob>,
    },
    Again {
        delay: Duration,
        /// Whether the run counts as a failure.
        counts: bool,
        traceback: Option<Value>,
    },
    /// The row stays, with the status `failed`.
    Held { traceback: Value },
}

impl Disposition {
    /// The number of bytes of the output and the follow-ups.
    pub fn bytes(&self) -> usize {
        match self {
            Disposition::Finished { output, follow_ups, .. } => {
                output.as_ref().map_or(0, Vec::len) + follow_ups.iter().map(NewJob::bytes).sum::<usize>()
            }
            Disposition::Again { .. } | Disposition::Held { .. } => 0,
        }
    }

    /// Whether a traceback is logged with it.
    pub fn has_traceback(&self) -> bool {
        match self {
            Disposition::Finished { traceback, .. } | Disposition::Again { traceback, .. } => traceback.is_some(),
            Disposition::Held { .. } => true,
        }
    }

    /// Whether it is a success without output and follow-ups.
    pub fn is_plain(&self) -> bool {
        matches!(self, Disposition::Finished { status: Terminal::Successful, traceback: None, output: None, follow_ups } if follow_ups.is_empty())
    }
}

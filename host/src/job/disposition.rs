//! What becomes of a job's row once a run has ended.

use std::time::Duration;

use serde_json::Value;

use super::NewJob;

/// How a job leaves the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// Done.
    Successful,
    /// Not needed any more.
    Canceled,
    /// Failed for good, and not to be held.
    Exception,
}

impl Terminal {
    /// As the log has it.
    pub fn label(self) -> &'static str {
        match self {
            Terminal::Successful => "successful",
            Terminal::Canceled => "canceled",
            Terminal::Exception => "exception",
        }
    }
}

/// What becomes of the row.
#[derive(Debug, Clone, PartialEq)]
pub enum Disposition {
    /// It goes.
    Finished {
        /// As what.
        status: Terminal,
        /// For the log.
        traceback: Option<Value>,
        /// To be kept.
        output: Option<Vec<u8>>,
        /// To be enqueued with it.
        follow_ups: Vec<NewJob>,
    },
    /// It waits for another run.
    Again {
        /// How long.
        delay: Duration,
        /// Whether this run counts as a failed one.
        counts: bool,
        /// For the log.
        traceback: Option<Value>,
    },
    /// It stays, as `failed`.
    Held {
        /// For the log.
        traceback: Value,
    },
}

impl Disposition {
    /// Whether it is a success that leaves nothing behind.
    pub fn is_plain(&self) -> bool {
        matches!(self, Disposition::Finished { status: Terminal::Successful, traceback: None, output: None, follow_ups } if follow_ups.is_empty())
    }
}

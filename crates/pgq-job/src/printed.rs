//! What a run printed, and what it used beside time and memory.

use std::time::Duration;

/// A line of a run: of its log interface, stdout or stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Since the run began.
    pub after: Duration,
    /// `log`, `stdout` or `stderr`.
    pub stream: &'static str,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: &'static str,
    pub message: String,
    /// The fields of the log interface as `name=value`, or nothing.
    pub fields: String,
}

/// The last lines of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Printed {
    pub lines: Vec<Line>,
    /// Bytes of lines that came before them.
    pub cut: u64,
}

impl Printed {
    /// Whether the run printed nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.cut == 0
    }
}

/// The outgoing requests of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u32,
    /// Bytes of requests, heads included, before encryption.
    pub sent: u64,
    /// The same of responses.
    pub received: u64,
}

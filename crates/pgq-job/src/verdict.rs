//! How a run ended.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::NewJob;

/// How one run of a job ended, before the queue's rules (attempts, back-off) are applied to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Complete {
        /// Kept in the output table.
        output: Option<Vec<u8>>,
        /// Committed with the outcome.
        follow_ups: Vec<NewJob>,
    },
    /// Run again later. No attempt is counted.
    Snooze(Duration),
    /// The job is not needed any more, for this reason.
    Discard(String),
    /// Run again, if attempts are left.
    Retry {
        fault: Fault,
        /// Delay instead of the back-off.
        after: Option<Duration>,
    },
    Reject(Fault),
    /// The host could not run the job or had to stop it. It is queued again, and no attempt is
    /// counted.
    Release(ReleaseReason),
}

impl Verdict {
    /// Bytes of the output and the follow-ups that the host holds until they are recorded.
    pub fn bytes(&self) -> usize {
        match self {
            Verdict::Complete { output, follow_ups } => {
                output.as_ref().map_or(0, Vec::len) + follow_ups.iter().map(NewJob::bytes).sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// Why the host gives a job back without a run that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// This host is shutting down.
    HostStopped,
    /// The lease of the job was lost while it ran.
    LeaseLost,
    /// The circuit breaker of its entrypoint is open.
    EntrypointPaused,
    /// All instances that the engine may have at once are taken.
    NoInstance,
    /// All memory that guests may have at once is taken.
    NoMemory,
    /// The database did not send the payload.
    PayloadUnread,
    /// The database did not note that the run of a suspect begins.
    BeginningUnnoted,
}

impl Display for ReleaseReason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReleaseReason::HostStopped => "the host stopped",
            ReleaseReason::LeaseLost => "the lease was lost",
            ReleaseReason::EntrypointPaused => "its entrypoint is paused",
            ReleaseReason::NoInstance => "no instance was free",
            ReleaseReason::NoMemory => "no memory was free",
            ReleaseReason::PayloadUnread => "its payload could not be read",
            ReleaseReason::BeginningUnnoted => "the database did not note its beginning",
        })
    }
}

/// What kind of failure a run ended in: `exception_type` in the traceback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The handler asked for another run.
    Retry,
    Reject,
    /// The handler has no use for the job, or somebody cancelled it. Not a failure, but a traceback
    /// as well.
    Discard,
    /// The guest's code trapped, which is what a panic of it comes to.
    Trap,
    /// The guest called `exit`.
    Exit,
    /// The guest recursed too deep.
    StackOverflow,
    /// The run asked for more memory or table elements than it may have.
    OutOfMemory,
    /// The run took longer than its timeout.
    DeadlineExceeded,
    /// A host call failed, or passed more than it may.
    HostError,
    /// The host itself panicked.
    HostPanic,
    /// A batch handler answered for another number of jobs than it was given.
    BatchMismatch,
    /// The handler returned a larger output than is kept.
    OutputTooLarge,
    /// The stored payload or headers cannot be given to any handler.
    Unreadable,
}

impl FaultKind {
    /// As the traceback has it.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Retry => "Retry",
            FaultKind::Reject => "Reject",
            FaultKind::Discard => "Discard",
            FaultKind::Trap => "Trap",
            FaultKind::Exit => "Exit",
            FaultKind::StackOverflow => "StackOverflow",
            FaultKind::OutOfMemory => "OutOfMemory",
            FaultKind::DeadlineExceeded => "DeadlineExceeded",
            FaultKind::HostError => "HostError",
            FaultKind::HostPanic => "HostPanic",
            FaultKind::BatchMismatch => "BatchMismatch",
            FaultKind::OutputTooLarge => "OutputTooLarge",
            FaultKind::Unreadable => "Unreadable",
        }
    }
}

/// What is written into a job's traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
    /// The guest's backtrace, or empty.
    pub traceback: String,
}

impl Fault {
    /// A fault without a backtrace.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), traceback: String::new() }
    }
}

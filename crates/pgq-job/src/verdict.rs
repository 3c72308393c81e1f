//! How a run ended.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::NewJob;

/// How one run of a job ended, before the queue's rules (attempts, back-off) are applied to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Complete {
        /// Stored in the output table.
        output: Option<Vec<u8>>,
        /// Committed with the outcome.
        follow_ups: Vec<NewJob>,
    },
    /// Run again later. No attempt is counted.
    Snooze(Duration),
    /// The job is no longer needed, for this reason.
    Discard(String),
    /// Run again, if attempts are left.
    Retry {
        fault: Fault,
        /// Replaces the back-off.
        after: Option<Duration>,
    },
    Reject(Fault),
    /// The host could not run the job or had to stop it. It is requeued, and the attempt does not
    /// count.
    Release(ReleaseReason),
}

impl Verdict {
    /// The bytes of the output and the follow-ups, which the host holds until they are recorded.
    pub fn bytes(&self) -> usize {
        match self {
            Verdict::Complete { output, follow_ups } => {
                output.as_ref().map_or(0, Vec::len) + follow_ups.iter().map(NewJob::bytes).sum::<usize>()
            }
            _ => 0,
        }
    }
}

/// Why the host returns a job to the queue without a run that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// This host is shutting down.
    HostStopped,
    /// The lease of the job was lost while it ran.
    LeaseLost,
    /// The circuit breaker of its entrypoint is open.
    EntrypointPaused,
    /// All instances of the engine are in use.
    NoInstance,
    /// All memory for guests is in use.
    NoMemory,
    /// The payload could not be read from the database.
    PayloadUnread,
    /// The start of a suspect's run could not be recorded in the database.
    BeginningUnnoted,
    /// This host does not have the key that the payload is sealed with; so often before.
    KeyUnknown(u32),
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
            ReleaseReason::BeginningUnnoted => "the start of its run could not be recorded",
            ReleaseReason::KeyUnknown(_) => "this host does not have the key of its payload",
        })
    }
}

/// What kind of failure a run ended in: `exception_type` in the traceback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The handler asked for another run.
    Retry,
    Reject,
    /// The handler does not need the job, or somebody cancelled it. Not a failure, but it has a
    /// traceback, too.
    Discard,
    /// The guest's code trapped. A panic in Rust ends in a trap.
    Trap,
    /// The guest called `exit`.
    Exit,
    /// The guest recursed too deeply.
    StackOverflow,
    /// The run asked for more memory or table elements than its limit.
    OutOfMemory,
    /// The run took longer than its timeout.
    DeadlineExceeded,
    /// A host call failed, or passed more than its limit.
    HostError,
    /// The host itself panicked.
    HostPanic,
    /// A batch handler returned a different number of results than it was given jobs.
    BatchMismatch,
    /// The handler returned an output above the size limit.
    OutputTooLarge,
    /// The database refused to commit what the run wrote in it.
    CommitRefused,
    /// The stored payload or headers cannot be passed to any handler.
    Unreadable,
    /// The payload is sealed and cannot be opened, or is not sealed and has to be. The job is always
    /// held: with the right key, or a mended configuration, it can be run.
    Unopened,
}

impl FaultKind {
    pub const ALL: [FaultKind; 15] = [
        FaultKind::Retry,
        FaultKind::Reject,
        FaultKind::Discard,
        FaultKind::Trap,
        FaultKind::Exit,
        FaultKind::StackOverflow,
        FaultKind::OutOfMemory,
        FaultKind::DeadlineExceeded,
        FaultKind::HostError,
        FaultKind::HostPanic,
        FaultKind::BatchMismatch,
        FaultKind::OutputTooLarge,
        FaultKind::CommitRefused,
        FaultKind::Unreadable,
        FaultKind::Unopened,
    ];

    /// Whether the guest's own code ended the run, rather than a limit or the host.
    pub fn is_the_guests(self) -> bool {
        matches!(self, FaultKind::Retry | FaultKind::Reject | FaultKind::Trap | FaultKind::Exit)
    }

    /// Its name in the traceback.
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
            FaultKind::CommitRefused => "CommitRefused",
            FaultKind::Unreadable => "Unreadable",
            FaultKind::Unopened => "Unopened",
        }
    }
}

/// What is written into a job's traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// What the guest calls it, in the words of its language: `KeyError`.
    pub reported: Option<String>,
    pub message: String,
    /// The guest's own traceback, its backtrace, or an empty string.
    pub traceback: String,
}

impl Fault {
    /// A fault without a backtrace.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, reported: None, message: message.into(), traceback: String::new() }
    }

    /// Its name in the traceback.
    pub fn name(&self) -> &str {
        self.reported.as_deref().unwrap_or(self.kind.name())
    }
}

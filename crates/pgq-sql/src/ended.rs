//! How the transaction of a run ended.

use pgq_engine::sql::SqlError;

/// How the transaction of a run ended that the host wanted committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// What the run wrote and its outcome are there.
    Committed,
    /// What the run wrote is there, in another database. Its outcome is still to be recorded.
    Apart,
    /// The job is not this worker's any more. Nothing is there.
    NotOurs,
    /// Nothing is there, for this reason.
    Refused(SqlError),
    /// The server never said. Both are there, or nothing is: the row in the queue tells.
    Unknown,
}

impl Ended {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Ended::Committed => "committed",
            Ended::Apart => "apart",
            Ended::NotOurs => "not_ours",
            Ended::Refused(_) => "refused",
            Ended::Unknown => "unknown",
        }
    }
}

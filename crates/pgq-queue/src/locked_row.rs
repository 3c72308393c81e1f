//! A row that is only locked.

use chrono::{DateTime, Utc};

use pgq_job::Claim;

/// A row as it was when it was locked. Whoever else claims it, or puts it back, changes one of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LockedRow {
    pub claim: Claim,
    pub(super) seen: DateTime<Utc>,
    pub(super) attempts: i32,
}

//! Locked rows, as the database and their worker know them.

use crate::state::{JOBS, Outcome};

/// The lock of an open transaction on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lock {
    pub place: u8,
    /// Its worker has given the session up, and the server does not know that yet.
    pub orphan: bool,
}

/// A row as it was when it was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockedRow {
    pub claim: u8,
    pub updated: u8,
    pub attempts: u8,
    /// What to record, from the first settling on. Otherwise the job is to be marked.
    pub outcome: Option<Outcome>,
}

pub type LockedRows = [Option<LockedRow>; JOBS];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchPhase {
    Open,
    Settling,
    /// The locks are lost.
    Lost,
    Relocking,
}

/// The jobs of one claim whose rows are only locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Batch {
    pub phase: BatchPhase,
    /// The locks were lost at some time.
    pub troubled: bool,
    pub rows: LockedRows,
}

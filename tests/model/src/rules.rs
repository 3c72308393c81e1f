//! The rules of the protocol. Each can be left out, and then the model finds the failure that it
//! prevents.

/// How an outcome identifies the claim that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// By worker and claim.
    Full,
    /// By the worker alone.
    Worker,
    /// By the job alone, as PgQueuer does.
    Absent,
}

/// What the loss of a worker means for the jobs that it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Losses {
    /// Each is charged an attempt.
    ChargeAll,
    /// Nothing at first. Then they run among a few suspects, and those that had already started
    /// that way run alone. A job that was lost while it ran alone is charged a strike.
    TryAlone,
}

/// How a host whose locks were lost asks for its rows again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relock {
    /// It locks the rows that nobody else has locked and that nobody has changed.
    Full,
    /// It locks whatever is queued, changed or not.
    Changed,
    /// It locks what has as many attempts as before.
    Attempts,
    /// It looks at the rows, but does not lock them.
    Looks,
    /// It does not ask. It writes what it would have written under the lock.
    Absent,
}

/// The rules in force.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How a write after a claim names that claim.
    pub fence: Fence,
    /// A worker judges leases only after it has had access to the database for as long as a lease
    /// lasts.
    pub judge_only_after_good_access: bool,
    /// A time without an answer does not count as access, whether the database was silent or the
    /// worker was suspended.
    pub silence_is_no_access: bool,
    /// A rescue has no effect if it arrives long after it was sent.
    pub rescue_is_dated: bool,
    /// A worker's lease starts when it sends the claim, not when it receives the answer.
    pub lease_from_asking: bool,
    /// No run starts on a lease that is about to expire; the lease is renewed first.
    pub nothing_begins_on_an_expired_lease: bool,
    /// The database rejects a claim that takes as long as a lease.
    pub claims_time_out: bool,
    /// The statement that takes a worker's jobs checks again whether its sessions have ended.
    pub presence_is_asked_again: bool,
    /// A session younger than a restart of the server takes must not judge anybody.
    pub patience_after_a_restart: bool,
    /// A job that runs alone prevents other runs until its outcome is recorded, not only until its
    /// run ends.
    pub alone_until_recorded: bool,
    /// What happens to the jobs of a lost worker.
    pub losses: Losses,
    /// How a host finds its rows again after a transaction with locked rows has failed.
    pub relock: Relock,
    /// What was not locked again may be marked, or may be another's. It is renewed before a run
    /// begins on it.
    pub what_is_not_relocked_is_doubted: bool,
    /// A host claims nothing while one of its batches has lost its locks.
    pub claims_wait_for_relocking: bool,
    /// The server ends a transaction that is idle for long.
    pub idle_transactions_end: bool,
    /// After a death, claims are marked.
    pub deaths_are_heeded: bool,
    /// Whoever forgets a dead worker first writes down that it died.
    pub deaths_are_noted: bool,
    /// A host that starts looks for workers that died, before its first claim.
    pub starts_look_for_deaths: bool,
}

impl Rules {
    /// All rules.
    pub const ALL: Rules = Rules {
        fence: Fence::Full,
        judge_only_after_good_access: true,
        silence_is_no_access: true,
        rescue_is_dated: true,
        lease_from_asking: true,
        nothing_begins_on_an_expired_lease: true,
        claims_time_out: true,
        presence_is_asked_again: true,
        patience_after_a_restart: true,
        alone_until_recorded: true,
        losses: Losses::TryAlone,
        relock: Relock::Full,
        what_is_not_relocked_is_doubted: true,
        claims_wait_for_relocking: true,
        idle_transactions_end: true,
        deaths_are_heeded: true,
        deaths_are_noted: true,
        starts_look_for_deaths: true,
    };
}

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
    };
}

//! What the protocol demands. Each rule can be left out, and then the model finds what it is there for.

/// How an outcome names the claim that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Worker and claim.
    Full,
    /// The worker alone.
    Worker,
    /// The job alone, as PgQueuer writes.
    Absent,
}

/// What a lost worker costs the jobs that it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Losses {
    /// An attempt of each.
    ChargeAll,
    /// Nothing at first: from then on they begin among a few, and what had begun so, alone. What had begun alone has a strike.
    TryAlone,
}

/// The rules in force.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A write after a claim names it.
    pub fence: Fence,
    /// A lease is judged only by a worker that has reached the database for as long as a lease lasts.
    pub judge_only_after_good_access: bool,
    /// A time without an answer is no good access, whether the database was silent or the worker asleep.
    pub silence_is_no_access: bool,
    /// A rescue is void when it arrives long after it was asked for.
    pub rescue_is_dated: bool,
    /// The worker counts a lease from when it asked for the claim, not from the answer.
    pub lease_from_asking: bool,
    /// No run begins on a lease that is nearly over: it is renewed first.
    pub nothing_begins_on_an_expired_lease: bool,
    /// A claim that takes as long as a lease is refused by the database.
    pub claims_time_out: bool,
    /// Whether a worker's sessions have ended is asked again by the statement that takes its jobs.
    pub presence_is_asked_again: bool,
    /// Nobody is judged by a session that is younger than a restart of the server takes.
    pub patience_after_a_restart: bool,
    /// What runs alone keeps others from beginning until its outcome is recorded, not only until it ends.
    pub alone_until_recorded: bool,
    /// See there.
    pub losses: Losses,
}

impl Rules {
    /// All of them.
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

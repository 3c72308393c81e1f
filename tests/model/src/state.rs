//! The database, the workers, and the messages between them.

pub use crate::batch::{Batch, BatchPhase, Lock, LockedRow, LockedRows};
pub use crate::size::{Faults, Protocol, Size};

/// The length of a lease, in ticks. A worker that can renews after one tick.
pub const LEASE: u8 = 3;
/// Ages stop here, since older makes no difference.
pub const OLD: u8 = LEASE + 1;
/// Failed runs after which a job is held.
pub const MAX_ATTEMPTS: u8 = 2;
/// How many workers a job may kill while it runs alone. Three by default in the host.
pub const MAX_STRIKES: u8 = 2;
pub const WORKERS: usize = 3;
pub const JOBS: usize = 2;
/// Connections of a worker.
pub const LINKS: usize = 4;
/// The index of the Python worker.
pub const PYTHON: usize = 2;

/// A worker as rows name it. After a restart it is a different one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who {
    pub place: u8,
    pub life: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    /// `updated` stands for the time at which it was put back.
    Queued {
        updated: u8,
    },
    /// `claim` stands for the time of the claim, `age` for the time since the last heartbeat.
    Picked {
        by: Who,
        claim: u8,
        age: u8,
    },
    Held,
    Gone,
}

/// How a job runs after its worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suspicion {
    None,
    /// It was on a lost worker, and runs among a few suspects.
    Few,
    /// It had started on a lost worker, and runs alone.
    Alone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    pub row: Row,
    pub lock: Option<Lock>,
    /// The number of the last claim.
    pub claim: u8,
    pub attempts: u8,
    pub strikes: u8,
    pub suspicion: Suspicion,
    /// The database has recorded that the run of a suspect started under this claim.
    pub marked: bool,
    /// Known only to the model: runs that started, outcomes in the log, and claims that were lost
    /// because of their lease.
    pub runs: u8,
    pub ended: u8,
    pub lapsed: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    Fail,
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Waiting,
    Running,
    Ended(Outcome),
}

/// A job as its worker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    pub claim: u8,
    /// Ticks since it was renewed, by the worker's count.
    pub age: u8,
    pub suspicion: Suspicion,
    pub phase: Phase,
    /// The row was only locked, as far as the worker knows.
    pub locked: bool,
    /// Known only to the model: ticks since the last renewal in which the worker rather than the
    /// server prevented it, and whether the worker missed a tick in which nothing did.
    pub excused: u8,
    pub idle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    Claim,
    Outcome {
        job: u8,
        claim: u8,
        outcome: Outcome,
    },
    /// Take what has expired, except for the worker's own jobs.
    JudgeLeases {
        held: u8,
    },
    JudgeGone(Who),
    /// Record and mark these jobs, and commit.
    Settle(LockedRows),
    Relock(LockedRows),
}

/// A job in the answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claimed {
    pub claim: u8,
    pub suspicion: Suspicion,
    /// The row, if it is only locked.
    pub locked: Option<LockedRow>,
}

/// A statement in transit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    pub ask: Ask,
    pub age: u8,
    pub slow: bool,
    /// What was claimed, once it is executed; or which jobs were settled, or locked again.
    pub answer: Option<[Option<Claimed>; JOBS]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    Absent,
    Alive,
    Frozen,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Worker {
    pub life: Life,
    pub lives: u8,
    pub stopping: bool,
    pub link: bool,
    pub session: bool,
    /// Ticks of the session, or without one, ticks during which the server was up.
    pub session_age: u8,
    pub missing: u8,
    /// Ticks of good access, by the worker's count.
    pub good: u8,
    /// Known only to the model: ticks during which the server was up but the worker could not reach
    /// it.
    pub deaf: u8,
    pub held: [Option<Held>; JOBS],
    /// Claim, outcome, judgement, locked batch: each has its own connection.
    pub sent: [Option<Message>; LINKS],
    pub batch: Option<Batch>,
    /// A commit that the worker no longer waits for, and that the server may still execute.
    pub abandoned: Option<LockedRows>,
    /// It knows of a death, and marks what it claims.
    pub wary: bool,
    /// Its last death has not been noticed yet.
    pub unnoticed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Server {
    Up,
    Away,
    Stalled,
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    Lost,
    RecordedTwice,
    Unfenced,
    TakenFromTheLiving,
    BegunOnALostClaim,
    HeldWithoutARun,
    HeldForAnother,
    SlotTakenTwice,
    NotLocked,
    KillerAtLarge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub server: Server,
    pub jobs: [Job; JOBS],
    pub workers: [Worker; WORKERS],
    pub faults: u8,
    pub cancels: u8,
    pub stops: u8,
    /// A death is written down in the database.
    pub wary: bool,
    /// Known only to the model: how many hosts a killer has ended.
    pub crashes: u8,
    pub failure: Option<Failure>,
}

impl Protocol {
    pub fn start(&self) -> State {
        let job = |there: bool| Job {
            row: if there { Row::Queued { updated: 0 } } else { Row::Gone },
            lock: None,
            claim: 0,
            attempts: 0,
            strikes: 0,
            suspicion: Suspicion::None,
            marked: false,
            runs: 0,
            ended: u8::from(!there),
            lapsed: 0,
        };
        let worker = |there: bool| Worker {
            life: if there { Life::Alive } else { Life::Absent },
            lives: 0,
            stopping: false,
            link: true,
            session: there,
            session_age: OLD,
            missing: 0,
            good: OLD,
            deaf: 0,
            held: [None; JOBS],
            sent: [None; LINKS],
            batch: None,
            abandoned: None,
            wary: false,
            unnoticed: false,
        };
        let size = &self.size;
        State {
            server: Server::Up,
            jobs: std::array::from_fn(|i| job(i < size.jobs)),
            workers: std::array::from_fn(|i| worker(if i == PYTHON { size.python } else { i < size.hosts })),
            faults: size.faults,
            cancels: size.cancels,
            stops: size.stops,
            wary: false,
            crashes: 0,
            failure: None,
        }
    }
}

impl State {
    pub fn who(&self, place: usize) -> Who {
        Who { place: place as u8, life: self.workers[place].lives }
    }

    /// Whether this worker can reach the database now.
    pub fn able(&self, place: usize) -> bool {
        self.server == Server::Up && self.workers[place].life == Life::Alive && self.workers[place].link
    }

    /// Whether it also has a session.
    pub fn connected(&self, place: usize) -> bool {
        self.able(place) && self.workers[place].session
    }

    /// Whether the open transaction of this worker has locked this row.
    pub fn has_locked(&self, place: usize, job: usize) -> bool {
        self.jobs[job].lock == Some(Lock { place: place as u8, orphan: false })
    }

    /// Whether this worker has an open transaction with locked rows.
    pub fn is_locking(&self, place: usize) -> bool {
        (0..JOBS).any(|job| self.has_locked(place, job))
    }

    /// Whether this worker is dead, or was restarted.
    pub fn is_dead(&self, who: Who) -> bool {
        let worker = &self.workers[who.place as usize];
        worker.life == Life::Dead || worker.lives != who.life
    }

    /// Whether all of its sessions have ended.
    pub fn is_missing(&self, who: Who) -> bool {
        self.is_dead(who) || !self.workers[who.place as usize].session
    }

    pub fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| matches!(job.row, Row::Gone | Row::Held))
    }
}

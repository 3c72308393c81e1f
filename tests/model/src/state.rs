//! The database, the workers, and what is on its way between them.

use crate::rules::Rules;

/// A lease, in ticks. A worker that can renews after one.
pub const LEASE: u8 = 3;
/// Ages stop here: older makes no difference.
pub const OLD: u8 = LEASE + 1;
/// Failed runs after which a job is held.
pub const MAX_ATTEMPTS: u8 = 2;
/// Workers that a job may end while it runs alone. Five by default in the host.
pub const MAX_STRIKES: u8 = 2;
pub const WORKERS: usize = 3;
pub const JOBS: usize = 2;
/// The place of the Python worker.
pub const PYTHON: usize = 2;

/// What may happen to the workers and the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A worker is killed.
    pub kill: bool,
    /// A worker is stopped by SIGSTOP, and goes on.
    pub freeze: bool,
    /// A worker's connections are silent or reset.
    pub cut: bool,
    /// The server is away, and back without its sessions.
    pub away: bool,
    /// The server does not answer, and goes on with what it was sent.
    pub stall: bool,
    /// A statement takes ticks, before or after it is done.
    pub slow: bool,
}

impl Faults {
    pub const ALL: Faults = Faults { kill: true, freeze: true, cut: true, away: true, stall: true, slow: true };
    pub const NONE: Faults = Faults { kill: false, freeze: false, cut: false, away: false, stall: false, slow: false };
}

/// How much of it there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub hosts: usize,
    pub python: bool,
    pub jobs: usize,
    /// So many faults in one history, of these kinds.
    pub faults: u8,
    pub of: Faults,
    /// Jobs that are cancelled, and hosts that are told to stop.
    pub cancels: u8,
    pub stops: u8,
    /// All jobs are of one entrypoint with a limit of one.
    pub limited: bool,
    /// A run may fail.
    pub fail: bool,
    /// The first job kills whoever runs it.
    pub killer: bool,
    /// A worker that was killed is started again.
    pub respawn: bool,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub rules: Rules,
    pub size: Size,
}

/// A worker as its rows name it: a restart makes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who {
    pub place: u8,
    pub life: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    Queued,
    /// `claim` stands for the time of the claim, `age` for that since the last heartbeat.
    Picked {
        by: Who,
        claim: u8,
        age: u8,
    },
    Held,
    Gone,
}

/// What is thought of a job whose worker was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suspicion {
    None,
    /// It was there; it begins among a few.
    Few,
    /// It had begun; nothing begins beside it.
    Alone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    pub row: Row,
    /// Of the last claim.
    pub claim: u8,
    pub attempts: u8,
    pub strikes: u8,
    pub suspicion: Suspicion,
    /// The run of a suspect began under this claim, says the database.
    pub marked: bool,
    /// What only the model knows: runs that began, outcomes in the log, claims that were taken because of their lease.
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

/// A job as its worker knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    pub claim: u8,
    /// Since it was renewed, as the worker counts.
    pub age: u8,
    pub suspicion: Suspicion,
    pub phase: Phase,
    /// What only the model knows: ticks since it was renewed in which the worker, not the server, was in the way of that; and whether
    /// the worker let a tick go by in which nothing was.
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
    /// Take what has expired, but what the worker holds itself.
    JudgeLeases {
        held: u8,
    },
    JudgeGone(Who),
}

/// A statement on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Message {
    pub ask: Ask,
    pub age: u8,
    pub slow: bool,
    /// What was claimed by it, when it is done: claim and suspicion.
    pub answer: Option<[Option<(u8, Suspicion)>; JOBS]>,
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
    /// Ticks of the session; and without one, while the server was there.
    pub session_age: u8,
    pub missing: u8,
    /// Ticks of good access, as the worker counts.
    pub good: u8,
    /// What only the model knows: for so many ticks the server was there and the worker could not reach it.
    pub deaf: u8,
    pub held: [Option<Held>; JOBS],
    /// Claim, outcome, judgement: each has a connection of its own.
    pub sent: [Option<Message>; 3],
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
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub server: Server,
    pub jobs: [Job; JOBS],
    pub workers: [Worker; WORKERS],
    pub faults: u8,
    pub cancels: u8,
    pub stops: u8,
    pub failure: Option<Failure>,
}

impl Protocol {
    pub fn start(&self) -> State {
        let job = |there: bool| Job {
            row: if there { Row::Queued } else { Row::Gone },
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
            sent: [None; 3],
        };
        let size = &self.size;
        State {
            server: Server::Up,
            jobs: std::array::from_fn(|i| job(i < size.jobs)),
            workers: std::array::from_fn(|i| worker(if i == PYTHON { size.python } else { i < size.hosts })),
            faults: size.faults,
            cancels: size.cancels,
            stops: size.stops,
            failure: None,
        }
    }
}

impl State {
    pub fn who(&self, place: usize) -> Who {
        Who { place: place as u8, life: self.workers[place].lives }
    }

    /// Whether this worker reaches the database at this moment.
    pub fn able(&self, place: usize) -> bool {
        self.server == Server::Up && self.workers[place].life == Life::Alive && self.workers[place].link
    }

    /// And has a session there.
    pub fn connected(&self, place: usize) -> bool {
        self.able(place) && self.workers[place].session
    }

    /// Whether this one is no more, or was started anew.
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

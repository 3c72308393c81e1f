//! The possible next steps.

use crate::rows::{is_expired, may_cancel};
use crate::rules::Losses;
use crate::state::*;

/// One step. Numbers are indexes of workers and of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time passes: a third of a lease.
    Tick,
    /// A worker sends a statement; the server executes it; the answer arrives, or is lost.
    AskToClaim(usize),
    Claim(usize, u8),
    SendOutcome(usize, usize),
    Record(usize),
    JudgeLeases(usize),
    JudgeGone(usize, Who),
    Rescue(usize),
    TimeOut(usize),
    Receive(usize, usize),
    /// The end of a batch with locked rows.
    AskToSettle(usize),
    Settle(usize),
    AskToRelock(usize),
    Relock(usize),
    /// A worker stops waiting for a commit, which the server executes all the same.
    GiveUp(usize),
    SettleLate(usize),
    /// What a worker does by itself.
    Connect(usize),
    Renew(usize),
    Begin(usize, usize),
    End(usize, usize, Outcome),
    Crash(usize),
    Leave(usize),
    /// Faults, and their end.
    Kill(usize),
    Respawn(usize),
    Freeze(usize),
    Wake(usize),
    Silence(usize),
    Reset(usize),
    /// Only the session with the locked rows ends.
    Sever(usize),
    Heal(usize),
    GoAway,
    ComeBack,
    Stall,
    Resume,
    Slow(usize, usize),
    /// What people do.
    Cancel(usize),
    Stop(usize),
}

impl Action {
    /// Whether it is a choice of the adversary, which need not happen.
    pub fn is_fault(self) -> bool {
        use Action::*;
        matches!(
            self,
            Kill(_)
                | Freeze(_)
                | Silence(_)
                | Reset(_)
                | Sever(_)
                | GoAway
                | Stall
                | Slow(..)
                | Cancel(_)
                | Stop(_)
                | End(_, _, Outcome::Fail)
        )
    }
}

pub const CLAIM: usize = 0;
pub const OUTCOME: usize = 1;
pub const JUDGEMENT: usize = 2;
pub const BATCH: usize = 3;

impl Protocol {
    pub fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        if state.failure.is_some() {
            return;
        }
        if self.may_tick(state) {
            actions.push(Action::Tick);
        }
        for place in 0..WORKERS {
            self.of_worker(state, place, actions);
        }
        self.of_world(state, actions);
    }

    /// Whether everything that must happen before the next tick has happened: whoever can has
    /// connected, renewed, and received answers that are not slow.
    fn may_tick(&self, state: &State) -> bool {
        (0..WORKERS).filter(|place| state.able(*place)).all(|place| {
            let worker = &state.workers[place];
            let is_late = |message: &Message| message.slow || self.is_blocked(state, place, message);
            worker.session
                && worker.held.iter().flatten().all(|held| held.age == 0)
                && worker.sent.iter().flatten().all(is_late)
                && (worker.batch.is_none() || worker.sent[BATCH].is_some())
        })
    }

    fn of_worker(&self, state: &State, place: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[place];
        match worker.life {
            Life::Absent => return,
            Life::Dead => {
                if self.size.respawn && !worker.stopping {
                    actions.push(Action::Respawn(place));
                }
                return;
            }
            Life::Frozen if self.size.wakes => actions.push(Action::Wake(place)),
            Life::Frozen => {}
            Life::Alive => self.of_living(state, place, actions),
        }
        // The server executes what it has received, whatever happened to the sender.
        if state.server == Server::Up {
            self.of_server(state, place, actions);
        }
        if state.faults > 0 {
            let of = &self.size.of;
            let mut fault = |is: bool, action: Action| {
                if is {
                    actions.push(action);
                }
            };
            fault(of.kill, Action::Kill(place));
            fault(of.freeze && worker.life == Life::Alive, Action::Freeze(place));
            fault(of.cut && worker.link, Action::Silence(place));
            fault(of.cut && worker.link && worker.session, Action::Reset(place));
            fault(of.sever && worker.link && state.is_locking(place), Action::Sever(place));
            for connection in 0..LINKS {
                let quick = worker.sent[connection].is_some_and(|message| !message.slow);
                fault(of.slow && quick, Action::Slow(place, connection));
            }
        }
        if !worker.link {
            actions.push(Action::Heal(place));
        }
        if state.stops > 0 && place != PYTHON && !worker.stopping && worker.life == Life::Alive {
            actions.push(Action::Stop(place));
        }
    }

    fn of_living(&self, state: &State, place: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[place];
        for job in 0..JOBS {
            let Some(held) = worker.held[job] else { continue };
            match held.phase {
                Phase::Waiting if worker.stopping => actions.push(Action::End(place, job, Outcome::Release)),
                Phase::Waiting => {
                    let good = held.locked || held.age + 1 < LEASE || !self.rules.nothing_begins_on_an_expired_lease;
                    if place == PYTHON
                        || good && (self.rules.losses == Losses::ChargeAll || self.has_room(state, place, held))
                    {
                        actions.push(Action::Begin(place, job));
                    }
                }
                Phase::Running if self.size.killer && job == 0 => actions.push(Action::Crash(place)),
                Phase::Running => {
                    actions.push(Action::End(place, job, Outcome::Success));
                    if self.size.fail && place != PYTHON {
                        actions.push(Action::End(place, job, Outcome::Fail));
                    }
                    if worker.stopping {
                        actions.push(Action::End(place, job, Outcome::Release));
                    }
                }
                Phase::Ended(_) => {
                    if state.connected(place) && worker.sent[OUTCOME].is_none() && !held.locked {
                        actions.push(Action::SendOutcome(place, job));
                    }
                }
            }
        }
        let is_done = worker.held.iter().all(Option::is_none) && worker.batch.is_none();
        if worker.stopping && is_done && worker.sent.iter().all(Option::is_none) {
            actions.push(Action::Leave(place));
        }
        self.of_batch(state, place, actions);
        if state.able(place) && !worker.session {
            actions.push(Action::Connect(place));
        }
        if !state.connected(place) {
            return;
        }
        for connection in 0..LINKS {
            if worker.sent[connection].is_some_and(|message| message.answer.is_some()) {
                actions.push(Action::Receive(place, connection));
            }
        }
        if worker.held.iter().flatten().any(|held| held.age > 0) {
            actions.push(Action::Renew(place));
        }
        if worker.stopping {
            return;
        }
        let is_troubled = worker.batch.is_some_and(|batch| batch.troubled) && self.rules.claims_wait_for_relocking;
        if worker.sent[CLAIM].is_none() && !is_troubled && (1..4).any(|which| self.claimable(state, place, which)) {
            actions.push(Action::AskToClaim(place));
        }
        if place == PYTHON || worker.sent[JUDGEMENT].is_some() {
            return;
        }
        let trusted = worker.good >= LEASE || !self.rules.judge_only_after_good_access;
        if trusted && (0..JOBS).any(|job| worker.held[job].is_none() && is_expired(state.jobs[job].row)) {
            actions.push(Action::JudgeLeases(place));
        }
        for who in self.watched(state) {
            // Python workers do not announce themselves.
            let watched = who.place as usize != place || who.life != worker.lives;
            if watched && who.place as usize != PYTHON && self.seems_gone(state, place, who) {
                actions.push(Action::JudgeGone(place, who));
            }
        }
    }

    /// Whether this run may start now beside the others on this host. The start of a suspect's run
    /// is recorded first.
    fn has_room(&self, state: &State, place: usize, one: Held) -> bool {
        let held = &state.workers[place].held;
        let runs = |held: &Held| match held.phase {
            Phase::Waiting => false,
            Phase::Running => true,
            Phase::Ended(_) => held.suspicion == Suspicion::Alone && self.rules.alone_until_recorded,
        };
        let all = |fits: &dyn Fn(&Held) -> bool| held.iter().flatten().all(fits);
        let connected = state.connected(place);
        match one.suspicion {
            // Not even while a job waits that has to run alone.
            Suspicion::None => {
                all(&|held| held.suspicion != Suspicion::Alone || !runs(held) && held.phase != Phase::Waiting)
            }
            Suspicion::Few => connected && all(&|held| held.suspicion != Suspicion::Alone || !runs(held)),
            Suspicion::Alone => connected && all(&|held| held.suspicion == Suspicion::None || !runs(held)),
        }
    }

    fn seems_gone(&self, state: &State, judge: usize, who: Who) -> bool {
        let old = state.workers[judge].session_age >= 1 || !self.rules.patience_after_a_restart;
        // A missing session is checked twice. A worker that can return by then has done so.
        let twice = state.is_dead(who)
            || state.workers[who.place as usize].missing >= 1
            || !self.rules.patience_after_a_restart;
        old && twice && state.is_missing(who)
    }

    fn of_server(&self, state: &State, place: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[place];
        if worker.abandoned.is_some() {
            actions.push(Action::SettleLate(place));
        }
        for message in worker.sent.iter().flatten().filter(|message| message.answer.is_none()) {
            if self.is_blocked(state, place, message) {
                continue;
            }
            match message.ask {
                Ask::Claim if message.age >= LEASE && self.rules.claims_time_out && place != PYTHON => {
                    actions.push(Action::TimeOut(place))
                }
                Ask::Claim => {
                    let before = actions.len();
                    actions.extend(
                        (1..4)
                            .filter(|which| self.claimable(state, place, *which))
                            .map(|which| Action::Claim(place, which)),
                    );
                    if actions.len() == before {
                        actions.push(Action::Claim(place, 0));
                    }
                }
                Ask::Outcome { .. } => actions.push(Action::Record(place)),
                Ask::JudgeLeases { .. } | Ask::JudgeGone(_) => actions.push(Action::Rescue(place)),
                Ask::Settle(_) => actions.push(Action::Settle(place)),
                Ask::Relock(_) => actions.push(Action::Relock(place)),
            }
        }
    }

    fn of_world(&self, state: &State, actions: &mut Vec<Action>) {
        match state.server {
            Server::Up => {
                if state.faults > 0 && self.size.of.away {
                    actions.push(Action::GoAway);
                }
                if state.faults > 0 && self.size.of.stall {
                    actions.push(Action::Stall);
                }
                if state.cancels > 0 {
                    actions.extend((0..JOBS).filter(|job| may_cancel(&state.jobs[*job])).map(Action::Cancel));
                }
            }
            Server::Away => actions.push(Action::ComeBack),
            Server::Stalled => actions.push(Action::Resume),
        }
    }
}

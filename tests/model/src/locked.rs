//! Claims that lock the rows of their jobs, and write nothing to them until their transaction is
//! settled. Each host has one such transaction at a time; while it is open, other claims mark.

use crate::actions::{Action, BATCH, CLAIM};
use crate::rules::Relock;
use crate::server::{back, check_rows, end};
use crate::state::*;
use crate::step::send;

impl Protocol {
    /// Whether a claim of these jobs only locks their rows.
    pub fn may_lock(&self, state: &State, place: usize, which: u8) -> bool {
        let worker = &state.workers[place];
        let is_suspect = |job: usize| which & (1 << job) != 0 && state.jobs[job].suspicion != Suspicion::None;
        let wary = self.rules.deaths_are_heeded && (state.wary || worker.wary);
        self.size.locks && place != PYTHON && worker.batch.is_none() && !wary && !(0..JOBS).any(is_suspect)
    }

    /// What a host does about its batch.
    pub fn of_batch(&self, state: &State, place: usize, actions: &mut Vec<Action>) {
        let worker = &state.workers[place];
        let Some(batch) = worker.batch else { return };
        if let Some(Message { ask: Ask::Settle(_), slow, answer: None, .. }) = worker.sent[BATCH]
            && (slow || state.server == Server::Stalled)
            && worker.abandoned.is_none()
        {
            actions.push(Action::GiveUp(place));
        }
        if !state.connected(place) {
            return;
        }
        match batch.phase {
            BatchPhase::Open => actions.push(Action::AskToSettle(place)),
            BatchPhase::Lost if self.rules.relock == Relock::Absent => actions.push(Action::AskToSettle(place)),
            BatchPhase::Lost => actions.push(Action::AskToRelock(place)),
            BatchPhase::Settling | BatchPhase::Relocking => {}
        }
    }

    /// Whether this statement waits for another transaction's lock. Python's outcomes do. Hosts
    /// only write rows that they have locked or marked.
    pub fn is_blocked(&self, state: &State, place: usize, message: &Message) -> bool {
        match message.ask {
            _ if message.answer.is_some() => false,
            Ask::Outcome { job, .. } if place == PYTHON => state.jobs[job as usize].lock.is_some(),
            Ask::Settle(rows) => (0..JOBS)
                .any(|job| rows[job].is_some() && state.jobs[job].lock.is_some() && !state.has_locked(place, job)),
            _ => false,
        }
    }

    /// The first time, it is decided what to record and what to mark.
    pub fn ask_to_settle(&self, state: &mut State, place: usize) {
        let is_locking = state.is_locking(place);
        let worker = &mut state.workers[place];
        let Some(batch) = &mut worker.batch else { return };
        if batch.phase == BatchPhase::Open {
            for (row, held) in batch.rows.iter_mut().zip(&worker.held) {
                let (Some(row), Some(held)) = (row, held) else { continue };
                if let Phase::Ended(outcome) = held.phase {
                    row.outcome = Some(outcome);
                }
            }
            if !is_locking {
                (batch.phase, batch.troubled) = (BatchPhase::Lost, true);
                return;
            }
        }
        batch.phase = BatchPhase::Settling;
        let rows = batch.rows;
        send(state, place, BATCH, Ask::Settle(rows));
    }

    /// `locked_claim.rs`, `settle`.
    pub fn settle(&self, state: &mut State, place: usize) {
        let Some(Message { ask: Ask::Settle(rows), .. }) = state.workers[place].sent[BATCH] else { return };
        let answer = self.write(state, place, &rows, false);
        answered(state, place, answer);
    }

    /// The server executes a commit that nobody waits for.
    pub fn settle_late(&self, state: &mut State, place: usize) {
        let Some(rows) = state.workers[place].abandoned.take() else { return };
        self.write(state, place, &rows, true);
    }

    /// Record and mark, and let the locks go. The statements ask for the status of a row alone:
    /// the lock is their fence.
    fn write(&self, state: &mut State, place: usize, rows: &LockedRows, orphan: bool) -> [Option<Claimed>; JOBS] {
        let (by, lock) = (state.who(place), Some(Lock { place: place as u8, orphan }));
        let mut answer = [None; JOBS];
        for (job, row) in rows.iter().enumerate() {
            let over = &mut state.jobs[job];
            let (Some(row), Row::Queued { updated }) = (row, over.row) else { continue };
            let failure = match row.outcome {
                Some(Outcome::Success | Outcome::Fail) if over.attempts != row.attempts => Some(Failure::RecordedTwice),
                _ if updated != row.updated => Some(Failure::Unfenced),
                _ if over.lock != lock && self.rules.relock != Relock::Looks => Some(Failure::NotLocked),
                _ => None,
            };
            match row.outcome {
                None => over.row = Row::Picked { by, claim: row.claim, age: 0 },
                Some(Outcome::Success) => end(over),
                Some(Outcome::Fail) => {
                    over.attempts += 1;
                    over.row = if over.attempts >= MAX_ATTEMPTS { Row::Held } else { back(over) };
                }
                Some(Outcome::Release) => over.row = back(over),
            }
            over.marked = false;
            answer[job] = Some(Claimed { claim: row.claim, suspicion: over.suspicion, locked: None });
            state.failure = state.failure.or(failure);
        }
        state.jobs.iter_mut().filter(|job| job.lock == lock).for_each(|job| job.lock = None);
        check_rows(state);
        answer
    }

    /// `relock.sql`.
    pub fn relock(&self, state: &mut State, place: usize) {
        let Some(Message { ask: Ask::Relock(rows), .. }) = state.workers[place].sent[BATCH] else { return };
        let mut answer = [None; JOBS];
        for (job, row) in rows.iter().enumerate() {
            let over = &mut state.jobs[job];
            let (Some(row), Row::Queued { updated }) = (row, over.row) else { continue };
            let is_as_it_was = match self.rules.relock {
                Relock::Changed => true,
                Relock::Attempts => over.attempts == row.attempts,
                _ => updated == row.updated && over.attempts == row.attempts,
            };
            // A mere look does not show locks.
            let is_free = over.lock.is_none() || self.rules.relock == Relock::Looks;
            if !is_free || !is_as_it_was {
                continue;
            }
            if self.rules.relock != Relock::Looks {
                over.lock = Some(Lock { place: place as u8, orphan: false });
            }
            answer[job] = Some(Claimed { claim: row.claim, suspicion: over.suspicion, locked: None });
        }
        answered(state, place, answer);
    }

    /// The rows that are locked again are settled.
    pub fn relocked(&self, state: &mut State, place: usize, message: &Message) {
        let (Some(batch), Some(answer)) = (&mut state.workers[place].batch, message.answer) else { return };
        let rows: LockedRows = std::array::from_fn(|job| batch.rows[job].filter(|_| answer[job].is_some()));
        if rows.iter().all(Option::is_none) {
            self.settled(state, place, message);
        } else {
            batch.phase = BatchPhase::Settling;
            send(state, place, BATCH, Ask::Settle(rows));
        }
    }

    /// The batch is over: `Settling::run` in `settler.rs`.
    pub fn settled(&self, state: &mut State, place: usize, message: &Message) {
        let worker = &mut state.workers[place];
        let (Some(batch), Some(answer)) = (worker.batch.take(), message.answer) else { return };
        for (job, row) in batch.rows.iter().enumerate() {
            let (Some(row), Some(held)) = (row, &mut worker.held[job]) else { continue };
            if held.claim != row.claim {
                continue;
            }
            held.locked = false;
            match answer[job] {
                Some(_) if row.outcome.is_some() => worker.held[job] = None,
                Some(_) => (held.age, held.excused, held.idle) = (message.age, message.age, false),
                None => held.age = if self.rules.what_is_not_relocked_is_doubted { LEASE } else { 0 },
            }
        }
    }

    /// The server ends transactions that were idle for half a tick.
    pub fn end_idle_transactions(&self, state: &mut State) {
        if state.server != Server::Up {
            return;
        }
        free_abandoned(state);
        if self.rules.idle_transactions_end {
            for place in 0..PYTHON {
                if state.is_locking(place) {
                    leave_transaction(state, place, false);
                }
            }
        }
    }
}

/// Lock the row, and leave it as it is. The number of the claim is the time of the lock.
pub fn lock(job: &mut Job, place: usize) -> Claimed {
    let Row::Queued { updated } = job.row else { unreachable!("only queued jobs are locked") };
    job.claim += 1;
    job.lock = Some(Lock { place: place as u8, orphan: false });
    let locked = Some(LockedRow { claim: job.claim, updated, attempts: job.attempts, outcome: None });
    Claimed { claim: job.claim, suspicion: job.suspicion, locked }
}

/// What a claim has locked is a batch. A job that is claimed again leaves the batch before it.
pub fn hold_locked(worker: &mut Worker, message: &Message) {
    let answer = message.answer.unwrap_or_default();
    if let Some(batch) = &mut worker.batch
        && batch.phase == BatchPhase::Open
    {
        for (row, claimed) in batch.rows.iter_mut().zip(answer) {
            if claimed.is_some() {
                *row = None;
            }
        }
        if batch.rows.iter().all(Option::is_none) {
            worker.batch = None;
        }
    }
    let rows = answer.map(|claimed| claimed?.locked);
    if rows.iter().any(Option::is_some) {
        worker.batch = Some(Batch { phase: BatchPhase::Open, troubled: false, rows });
    }
}

pub fn ask_to_relock(state: &mut State, place: usize) {
    let Some(batch) = &mut state.workers[place].batch else { return };
    batch.phase = BatchPhase::Relocking;
    let rows = batch.rows;
    send(state, place, BATCH, Ask::Relock(rows));
}

fn answered(state: &mut State, place: usize, answer: [Option<Claimed>; JOBS]) {
    if let Some(message) = &mut state.workers[place].sent[BATCH] {
        message.answer = Some(answer);
    }
}

/// The session with the locked rows ends, and with it the answer to the claim that locked them.
pub fn sever(state: &mut State, place: usize) {
    leave_transaction(state, place, false);
    let sent = &mut state.workers[place].sent;
    let has_locked = |message: &Message| message.answer.iter().flatten().flatten().any(|job| job.locked.is_some());
    sent[CLAIM] = sent[CLAIM].filter(|message| !has_locked(message));
}

/// The transaction is over for its worker. Its rows are free; or, if the server does not know yet,
/// they stay locked for a while, and a commit that was sent may still be executed.
pub fn leave_transaction(state: &mut State, place: usize, orphan: bool) {
    for job in 0..JOBS {
        if state.has_locked(place, job) {
            state.jobs[job].lock = orphan.then_some(Lock { place: place as u8, orphan });
        }
    }
    let worker = &mut state.workers[place];
    let Some(message) = worker.sent[BATCH].take() else { return };
    if let Some(batch) = &mut worker.batch {
        (batch.phase, batch.troubled) = (BatchPhase::Lost, true);
    }
    if let Ask::Settle(rows) = message.ask
        && orphan
        && message.answer.is_none()
    {
        worker.abandoned = Some(rows);
    }
}

/// The server ends the sessions that nobody uses any more.
pub fn free_abandoned(state: &mut State) {
    state.workers.iter_mut().for_each(|worker| worker.abandoned = None);
    let is_orphan = |job: &&mut Job| job.lock.is_some_and(|lock| lock.orphan);
    state.jobs.iter_mut().filter(is_orphan).for_each(|job| job.lock = None);
}

//! The statements, each executed atomically, as in the database.

use crate::actions::{CLAIM, JUDGEMENT, OUTCOME};
use crate::locked::lock;
use crate::rows::is_expired;
use crate::rules::{Fence, Losses};
use crate::state::*;

impl Protocol {
    /// `claim.rs`. The row's heartbeat is the start of the transaction, which may have waited
    /// since.
    pub fn claim(&self, state: &mut State, place: usize, which: u8) {
        let by = state.who(place);
        let Some(mut message) = state.workers[place].sent[CLAIM] else { return };
        let mut answer = [None; JOBS];
        let locks = self.may_lock(state, place, which);
        for (job, answer) in answer.iter_mut().enumerate().filter(|(job, _)| which & (1 << job) != 0) {
            let job = &mut state.jobs[job];
            *answer = Some(if locks { lock(job, place) } else { pick(job, by, message.age) });
        }
        message.answer = Some(answer);
        // An empty answer changes nothing.
        state.workers[place].sent[CLAIM] = (which != 0).then_some(message);
        self.check_slot(state);
    }

    /// `outcome.rs`, and `handover.rs` if a limit's slot goes to the next job in the same
    /// statement.
    pub fn record(&self, state: &mut State, place: usize) {
        let me = state.who(place);
        let Some(mut message) = state.workers[place].sent[OUTCOME] else { return };
        let Ask::Outcome { job, claim, outcome } = message.ask else { return };
        let python = place == PYTHON;
        let row = state.jobs[job as usize].row;
        let (mine, ours) = match row {
            Row::Picked { by, claim: current, .. } => (by == me, by == me && current == claim),
            _ => (false, false),
        };
        let applies = match self.rules.fence {
            _ if python => row != Row::Gone,
            Fence::Full => ours,
            Fence::Worker => mine,
            Fence::Absent => row != Row::Gone,
        };
        let mut answer = [None; JOBS];
        if applies {
            if !ours && !python {
                state.failure = Some(Failure::Unfenced);
            }
            let over = &mut state.jobs[job as usize];
            match outcome {
                Outcome::Success => end(over),
                Outcome::Fail => {
                    over.attempts += 1;
                    over.row = if over.attempts >= MAX_ATTEMPTS { Row::Held } else { back(over) };
                }
                Outcome::Release => over.row = back(over),
            }
            // The host survived to record it, so the job did not kill it.
            if over.marked {
                (over.suspicion, over.strikes) = (Suspicion::None, 0);
            }
            // A worker passes the slot on that it frees, unless it is stopping.
            let next = (0..JOBS).find(|next| self.claimable(state, place, 1 << next) && *next != job as usize);
            if let Some(next) = next.filter(|_| {
                self.size.limited && !python && outcome == Outcome::Success && !state.workers[place].stopping
            }) {
                answer[next] = Some(pick(&mut state.jobs[next], me, message.age));
            }
        }
        message.answer = Some(answer);
        state.workers[place].sent[OUTCOME] = Some(message);
        self.check_slot(state);
        check_rows(state);
    }

    /// `rescue.rs`.
    pub fn rescue(&self, state: &mut State, place: usize) {
        let Some(message) = state.workers[place].sent[JUDGEMENT].take() else { return };
        let void = self.rules.rescue_is_dated && message.age > 0;
        if let Ask::JudgeGone(who) = message.ask {
            self.note_death(state, who);
        }
        for job in 0..JOBS {
            let Row::Picked { by, claim, .. } = state.jobs[job].row else { continue };
            let holder = &state.workers[by.place as usize];
            let alive = !state.is_dead(by) && holder.life != Life::Absent;
            match message.ask {
                Ask::JudgeLeases { held } if !void && held & (1 << job) == 0 && is_expired(state.jobs[job].row) => {
                    // A worker that does not know of the claim yet can neither renew nor start it.
                    let could =
                        |held: Held| held.claim == claim && !held.locked && (held.idle || held.excused + 1 < LEASE);
                    if alive && holder.held[job].is_some_and(could) {
                        state.failure = Some(Failure::TakenFromTheLiving);
                    }
                    state.jobs[job].lapsed |= 1 << claim.min(7);
                    self.lose(&mut state.jobs[job]);
                }
                Ask::JudgeGone(who) if who == by && (state.is_missing(by) || !self.rules.presence_is_asked_again) => {
                    if alive && holder.life == Life::Alive && holder.link && holder.deaf == 0 {
                        state.failure = Some(Failure::TakenFromTheLiving);
                    }
                    self.lose(&mut state.jobs[job]);
                }
                _ => {}
            }
        }
        check_rows(state);
        if self.size.killer && state.jobs[1].row == Row::Held {
            state.failure = Some(Failure::HeldForAnother);
        }
    }

    /// What happens to a job whose worker was lost.
    fn lose(&self, job: &mut Job) {
        let held = match self.rules.losses {
            Losses::ChargeAll => {
                job.attempts += 1;
                job.attempts >= MAX_ATTEMPTS
            }
            Losses::TryAlone => {
                let was_alone = job.suspicion == Suspicion::Alone;
                job.strikes += u8::from(job.marked && was_alone);
                job.suspicion = if job.marked || was_alone { Suspicion::Alone } else { Suspicion::Few };
                job.strikes >= MAX_STRIKES
            }
        };
        job.row = if held { Row::Held } else { back(job) };
    }

    /// `cancel.rs`: the job is cancelled whoever holds its row, and its worker learns of it when it
    /// renews the lease at the latest.
    pub fn cancel(&self, state: &mut State, job: usize) {
        end(&mut state.jobs[job]);
        check_rows(state);
    }

    fn check_slot(&self, state: &mut State) {
        let picked = state.jobs.iter().filter(|job| matches!(job.row, Row::Picked { .. })).count();
        if self.size.limited && picked > 1 {
            state.failure = Some(Failure::SlotTakenTwice);
        }
    }
}

fn pick(job: &mut Job, by: Who, age: u8) -> Claimed {
    job.claim += 1;
    job.marked = false;
    job.row = Row::Picked { by, claim: job.claim, age };
    Claimed { claim: job.claim, suspicion: job.suspicion, locked: None }
}

/// Its row when it is put back now.
pub fn back(job: &Job) -> Row {
    Row::Queued { updated: job.claim }
}

pub fn end(job: &mut Job) {
    job.row = Row::Gone;
    job.ended += 1;
}

pub fn check_rows(state: &mut State) {
    for job in &state.jobs {
        let failure = match job.row {
            _ if job.ended > 1 => Failure::RecordedTwice,
            Row::Gone if job.ended == 0 => Failure::Lost,
            Row::Held if job.attempts + job.strikes > job.runs => Failure::HeldWithoutARun,
            _ => continue,
        };
        state.failure = state.failure.or(Some(failure));
    }
}

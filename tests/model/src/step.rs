//! The effect of each step.

use crate::actions::{Action, CLAIM, JUDGEMENT, OUTCOME};
use crate::locked::{ask_to_relock, free_abandoned, hold_locked, leave_transaction, sever};
use crate::rules::Losses;
use crate::state::*;

impl Protocol {
    pub fn step(&self, before: &State, action: Action) -> State {
        let mut state = before.clone();
        if matches!(
            action,
            Action::Kill(_)
                | Action::Freeze(_)
                | Action::Silence(_)
                | Action::Reset(_)
                | Action::Sever(_)
                | Action::GoAway
                | Action::Stall
                | Action::Slow(..)
        ) {
            state.faults -= 1;
        }
        match action {
            Action::Tick => {
                self.end_idle_transactions(&mut state);
                tick(&mut state);
            }
            Action::AskToClaim(place) => send(&mut state, place, CLAIM, Ask::Claim),
            Action::Claim(place, which) => self.claim(&mut state, place, which),
            Action::SendOutcome(place, job) => {
                if let Some(Held { claim, phase: Phase::Ended(outcome), .. }) = state.workers[place].held[job] {
                    send(&mut state, place, OUTCOME, Ask::Outcome { job: job as u8, claim, outcome });
                }
            }
            Action::Record(place) => self.record(&mut state, place),
            Action::JudgeLeases(place) => {
                let held = (0..JOBS)
                    .filter(|job| state.workers[place].held[*job].is_some())
                    .fold(0, |held, job| held | 1 << job);
                send(&mut state, place, JUDGEMENT, Ask::JudgeLeases { held });
            }
            Action::JudgeGone(place, who) => send(&mut state, place, JUDGEMENT, Ask::JudgeGone(who)),
            Action::Rescue(place) => self.rescue(&mut state, place),
            Action::TimeOut(place) => state.workers[place].sent[CLAIM] = None,
            Action::Receive(place, connection) => self.receive(&mut state, place, connection),
            Action::AskToSettle(place) => self.ask_to_settle(&mut state, place),
            Action::Settle(place) => self.settle(&mut state, place),
            Action::AskToRelock(place) => ask_to_relock(&mut state, place),
            Action::Relock(place) => self.relock(&mut state, place),
            Action::GiveUp(place) => leave_transaction(&mut state, place, true),
            Action::SettleLate(place) => self.settle_late(&mut state, place),
            Action::Connect(place) => {
                let worker = &mut state.workers[place];
                (worker.session, worker.session_age, worker.missing, worker.good) = (true, 0, 0, 0);
            }
            Action::Renew(place) => renew(&mut state, place),
            Action::Begin(place, job) => self.begin(&mut state, place, job),
            Action::End(place, job, outcome) => {
                if let Some(held) = &mut state.workers[place].held[job] {
                    held.phase = Phase::Ended(outcome);
                }
            }
            Action::Crash(place) => {
                self.die(&mut state, place);
                self.count_crash(&mut state);
            }
            Action::Kill(place) => self.die(&mut state, place),
            Action::Leave(place) => leave(&mut state, place),
            Action::Respawn(place) => {
                let wary = self.looks_for_deaths(&state);
                let worker = &mut state.workers[place];
                (worker.life, worker.lives, worker.link, worker.deaf) = (Life::Alive, worker.lives + 1, true, 0);
                worker.wary = wary;
            }
            Action::Freeze(place) => state.workers[place].life = Life::Frozen,
            Action::Wake(place) => {
                state.workers[place].life = Life::Alive;
                if self.rules.silence_is_no_access {
                    state.workers[place].good = 0;
                }
            }
            Action::Silence(place) => state.workers[place].link = false,
            // The connection works again before anybody notices, but the sessions are gone.
            Action::Reset(place) => part(&mut state, place),
            Action::Sever(place) => sever(&mut state, place),
            Action::Heal(place) => {
                part(&mut state, place);
                state.workers[place].link = true;
            }
            Action::GoAway => {
                state.server = Server::Away;
                (0..WORKERS).for_each(|place| part(&mut state, place));
                free_abandoned(&mut state);
            }
            Action::Stall => state.server = Server::Stalled,
            Action::ComeBack => state.server = Server::Up,
            Action::Resume => {
                state.server = Server::Up;
                if self.rules.silence_is_no_access {
                    state.workers.iter_mut().for_each(|worker| worker.good = 0);
                }
            }
            Action::Slow(place, connection) => {
                if let Some(message) = &mut state.workers[place].sent[connection] {
                    message.slow = true;
                }
            }
            Action::Cancel(job) => {
                state.cancels -= 1;
                self.cancel(&mut state, job);
            }
            Action::Stop(place) => {
                state.stops -= 1;
                state.workers[place].stopping = true;
            }
        }
        state
    }

    fn receive(&self, state: &mut State, place: usize, connection: usize) {
        let Some(message) = state.workers[place].sent[connection].take() else { return };
        match message.ask {
            Ask::Settle(_) => return self.settled(state, place, &message),
            Ask::Relock(_) => return self.relocked(state, place, &message),
            Ask::Claim => hold_locked(&mut state.workers[place], &message),
            _ => {}
        }
        let held = &mut state.workers[place].held;
        if let Ask::Outcome { job, claim, .. } = message.ask
            && held[job as usize].is_some_and(|held| held.claim == claim)
        {
            held[job as usize] = None;
        }
        let age = if self.rules.lease_from_asking { message.age } else { 0 };
        for (job, claimed) in message.answer.into_iter().flatten().enumerate() {
            if let Some(Claimed { claim, suspicion, locked }) = claimed {
                let (locked, excused) = (locked.is_some(), message.age);
                let age = if locked { 0 } else { age };
                held[job] = Some(Held { claim, age, suspicion, phase: Phase::Waiting, locked, excused, idle: false });
            }
        }
    }

    fn begin(&self, state: &mut State, place: usize, job: usize) {
        let me = state.who(place);
        let Some(mut held) = state.workers[place].held[job] else { return };
        let ours = matches!(state.jobs[job].row, Row::Picked { by, claim, .. } if by == me && claim == held.claim);
        if held.suspicion != Suspicion::None && self.rules.losses == Losses::TryAlone && place != PYTHON {
            if !ours {
                state.workers[place].held[job] = None;
                return;
            }
            state.jobs[job].marked = true;
            if let Row::Picked { age, .. } = &mut state.jobs[job].row {
                *age = 0;
            }
        }
        if place != PYTHON && !held.locked && !ours && state.jobs[job].lapsed & (1 << held.claim.min(7)) != 0 {
            state.failure = Some(Failure::BegunOnALostClaim);
        }
        held.phase = Phase::Running;
        state.workers[place].held[job] = Some(held);
        state.jobs[job].runs = (state.jobs[job].runs + 1).min(MAX_ATTEMPTS + MAX_STRIKES);
    }
}

pub fn send(state: &mut State, place: usize, connection: usize, ask: Ask) {
    state.workers[place].sent[connection] = Some(Message { ask, age: 0, slow: false, answer: None });
}

/// `heartbeat.rs`, `lease.rs`: jobs that are no longer ours are given up. Python's heartbeat does
/// not check the owner.
fn renew(state: &mut State, place: usize) {
    let me = state.who(place);
    for job in 0..JOBS {
        let Some(held) = &mut state.workers[place].held[job] else { continue };
        if held.locked {
            continue;
        }
        match &mut state.jobs[job].row {
            Row::Picked { by, claim, age } if place == PYTHON || *by == me && *claim == held.claim => {
                (*age, held.age, held.excused, held.idle) = (0, 0, 0, false);
            }
            _ if place == PYTHON => held.age = 0,
            _ => state.workers[place].held[job] = None,
        }
    }
}

/// All sessions end, and messages in transit are lost.
fn part(state: &mut State, place: usize) {
    // Behind a silent link, the server notices nothing.
    leave_transaction(state, place, !state.workers[place].link);
    let worker = &mut state.workers[place];
    (worker.session, worker.good, worker.sent) = (false, 0, [None; LINKS]);
}

pub fn leave(state: &mut State, place: usize) {
    part(state, place);
    let worker = &mut state.workers[place];
    (worker.life, worker.held, worker.missing) = (Life::Dead, [None; JOBS], 0);
    (worker.batch, worker.abandoned, worker.wary) = (None, None, false);
}

fn tick(state: &mut State) {
    let older = |age: &mut u8| *age = (*age + 1).min(OLD);
    let (before, up) = (state.jobs, state.server == Server::Up);
    for job in &mut state.jobs {
        if let Row::Picked { age, .. } = &mut job.row {
            older(age);
        }
    }
    for place in 0..WORKERS {
        let (able, connected) = (state.able(place), state.connected(place));
        let worker = &mut state.workers[place];
        if matches!(worker.life, Life::Absent | Life::Dead) {
            continue;
        }
        for (job, held) in worker.held.iter_mut().enumerate() {
            let Some(held) = held else { continue };
            if held.locked {
                if up {
                    older(&mut held.excused);
                }
                continue;
            }
            older(&mut held.age);
            if connected {
                held.idle |=
                    matches!(before[job].row, Row::Picked { claim, age, .. } if claim == held.claim && age > 0);
            } else if up {
                older(&mut held.excused);
            }
        }
        worker.sent.iter_mut().flatten().for_each(|message| older(&mut message.age));
        if worker.session {
            older(&mut worker.session_age);
        }
        if connected {
            older(&mut worker.good);
        }
        if able {
            worker.deaf = 0;
        } else if up {
            older(&mut worker.deaf);
        }
        if up && !worker.session {
            older(&mut worker.missing);
        }
    }
}

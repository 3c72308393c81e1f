//! What hosts know of deaths. A job that ends its host leaves no trace in a row that was only
//! locked, so claims are marked after a death.

use crate::rows::owners;
use crate::state::*;
use crate::step::leave;

impl Protocol {
    /// A worker dies, and its sessions end.
    pub fn die(&self, state: &mut State, place: usize) {
        leave(state, place);
        state.workers[place].unnoticed = self.counts_deaths() && place != PYTHON;
    }

    fn counts_deaths(&self) -> bool {
        self.size.locks && self.rules.deaths_are_heeded
    }

    /// Ordinary claims make a killer a suspect, have it run alone, and charge it. Before that, each
    /// host may have locked it once.
    pub fn count_crash(&self, state: &mut State) {
        let most = 2 + MAX_STRIKES + if self.size.locks { self.size.hosts as u8 } else { 0 };
        state.crashes += 1;
        if state.crashes > most {
            state.failure = Some(Failure::KillerAtLarge);
        }
    }

    /// `look_for_deaths`: whether anybody died and is still announced.
    pub fn looks_for_deaths(&self, state: &State) -> bool {
        self.rules.starts_look_for_deaths && state.workers.iter().any(|worker| worker.unnoticed)
    }

    /// Whom the hosts watch: the owners of rows, and the dead that are still announced.
    pub fn watched(&self, state: &State) -> Vec<Who> {
        let mut watched = owners(state);
        for place in 0..PYTHON {
            let who = last_death(state, place);
            if state.workers[place].unnoticed && !watched.contains(&who) {
                watched.push(who);
            }
        }
        watched
    }

    /// `note_death.sql`, `forget_worker.sql`.
    pub fn note_death(&self, state: &mut State, who: Who) {
        if !self.counts_deaths() || !state.is_missing(who) {
            return;
        }
        state.wary |= self.rules.deaths_are_noted;
        let place = who.place as usize;
        if last_death(state, place) == who {
            state.workers[place].unnoticed = false;
        }
    }
}

/// The last life of this worker that has ended, if any has.
fn last_death(state: &State, place: usize) -> Who {
    let worker = &state.workers[place];
    let life = if worker.life == Life::Dead { worker.lives } else { worker.lives.saturating_sub(1) };
    Who { place: place as u8, life }
}

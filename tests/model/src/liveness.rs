//! Whether every job ends: from every reachable state, the end can be reached without further
//! faults. In a finite model, this is equivalent to: every history ends in which each step that is
//! possible infinitely often is eventually taken.

use std::collections::HashMap;

use crate::actions::Action;
use crate::state::{Life, PYTHON, Protocol, State};

/// A state from which the end cannot be reached.
#[derive(Debug)]
pub struct Unfinished {
    pub state: Box<State>,
    pub history: Vec<Action>,
}

/// The number of states, and the first one from which the end cannot be reached although a host is
/// alive.
pub fn unfinished(protocol: &Protocol) -> (usize, Option<Unfinished>) {
    let start = protocol.start();
    let (mut ids, mut states) = (HashMap::from([(start.clone(), 0_u32)]), vec![start]);
    let mut from: Vec<Option<(u32, Action)>> = vec![None];
    let mut back: Vec<Vec<u32>> = vec![vec![]];
    let (mut next, mut actions) = (0, Vec::new());
    while next < states.len() {
        let state = states[next].clone();
        protocol.possible(&state, &mut actions);
        for action in actions.drain(..) {
            let then = protocol.step(&state, action);
            let id = *ids.entry(then.clone()).or_insert_with(|| {
                states.push(then);
                from.push(Some((next as u32, action)));
                back.push(vec![]);
                (states.len() - 1) as u32
            });
            if !action.is_fault() {
                back[id as usize].push(next as u32);
            }
        }
        next += 1;
    }
    let mut good: Vec<bool> = states.iter().map(State::is_over).collect();
    let mut todo: Vec<u32> = (0..good.len() as u32).filter(|id| good[*id as usize]).collect();
    while let Some(id) = todo.pop() {
        for before in &back[id as usize] {
            if !std::mem::replace(&mut good[*before as usize], true) {
                todo.push(*before);
            }
        }
    }
    let lives = |state: &State| {
        let there = |place: usize| {
            let worker = &state.workers[place];
            let respawns = protocol.size.respawn && worker.life == Life::Dead;
            !worker.stopping
                && (worker.life == Life::Alive || worker.life == Life::Frozen && protocol.size.wakes || respawns)
        };
        (0..PYTHON).any(there)
    };
    let stuck = (0..states.len()).find(|id| !good[*id] && states[*id].failure.is_none() && lives(&states[*id]));
    let found = stuck.map(|id| {
        let (mut history, mut at) = (Vec::new(), id);
        while let Some((before, action)) = from[at] {
            history.push(action);
            at = before as usize;
        }
        history.reverse();
        Unfinished { state: Box::new(states[id].clone()), history }
    });
    (states.len(), found)
}

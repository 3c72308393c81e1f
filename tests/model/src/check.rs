//! Searches all histories for failures.

use std::fmt::Write as _;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::actions::Action;
use crate::state::{Failure, Protocol, State};

/// The invariants by name, and the failure that each one excludes.
pub const FAILURES: [(&str, Failure); 10] = [
    ("no job is lost", Failure::Lost),
    ("no outcome is recorded twice", Failure::RecordedTwice),
    ("no write goes without its fence", Failure::Unfenced),
    ("no job is taken from a worker that lives and can renew", Failure::TakenFromTheLiving),
    ("no run begins on a claim whose lease is over", Failure::BegunOnALostClaim),
    ("a job is held only for runs that began", Failure::HeldWithoutARun),
    ("no job is held for what another did", Failure::HeldForAnother),
    ("a limit's slot has at most one holder", Failure::SlotTakenTwice),
    ("no outcome of a locked job is recorded without its lock", Failure::NotLocked),
    ("no job ends host after host", Failure::KillerAtLarge),
];

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.step(state, action)).filter(|next| next != state)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        macro_rules! never {
            ($($index:literal)*) => { vec![$(Property::always(FAILURES[$index].0, |_, state: &State| state.failure != Some(FAILURES[$index].1)),)*
                Property::sometimes("all jobs end", |_, state: &State| state.is_over())] };
        }
        never!(0 1 2 3 4 5 6 7 8 9)
    }
}

/// The result of a search.
#[derive(Debug)]
pub struct Found {
    pub states: usize,
    pub depth: usize,
    /// The failures found, each with the shortest history that leads to it.
    pub failures: Vec<(Failure, String)>,
    /// Whether all jobs can end at all. A model in which nothing happens would have no failures
    /// either.
    pub ends: bool,
}

impl Found {
    pub fn has(&self, failure: Failure) -> bool {
        self.failures.iter().any(|(found, _)| *found == failure)
    }
}

/// Search all histories, or until a failure.
pub fn search(protocol: Protocol) -> Found {
    search_until(protocol, HasDiscoveries::AnyFailures)
}

/// Search until this failure. Other failures end only the histories in which they happen.
pub fn search_for(protocol: Protocol, failure: Failure) -> Found {
    let names = FAILURES.iter().filter(|(_, other)| *other == failure).map(|(name, _)| *name);
    search_until(protocol, HasDiscoveries::AnyOf(names.collect()))
}

fn search_until(protocol: Protocol, until: HasDiscoveries) -> Found {
    let checker = protocol.checker().threads(2).finish_when(until).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let failures = FAILURES.iter().filter_map(|(name, failure)| {
        let path = discoveries.get(name)?.clone();
        let steps = path.into_actions().iter().fold(String::new(), |mut steps, action| {
            let _ = write!(steps, "\n  {action:?}");
            steps
        });
        Some((*failure, steps))
    });
    Found {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        failures: failures.collect(),
        ends: discoveries.contains_key("all jobs end"),
    }
}

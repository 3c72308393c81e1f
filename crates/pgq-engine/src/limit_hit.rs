//! Which limits a call hit. Determined once after the call, from the state it left behind.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use super::border;
use super::control::StopCause;
use super::limits::Exhausted;
use super::room::NoRoom;
use super::state::State;

/// A limit that ended a run, or denied it something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    Memory,
    Tables,
    Deadline,
    Stack,
    Handles,
    HostcallBytes,
    Log,
    Output,
    Enqueue,
    HttpRequests,
    Room,
}

impl LimitHit {
    pub const ALL: [LimitHit; 11] = [
        LimitHit::Memory,
        LimitHit::Tables,
        LimitHit::Deadline,
        LimitHit::Stack,
        LimitHit::Handles,
        LimitHit::HostcallBytes,
        LimitHit::Log,
        LimitHit::Output,
        LimitHit::Enqueue,
        LimitHit::HttpRequests,
        LimitHit::Room,
    ];

    pub fn label(self) -> &'static str {
        match self {
            LimitHit::Memory => "memory",
            LimitHit::Tables => "tables",
            LimitHit::Deadline => "deadline",
            LimitHit::Stack => "stack",
            LimitHit::Handles => "handles",
            LimitHit::HostcallBytes => "hostcall-bytes",
            LimitHit::Log => "log",
            LimitHit::Output => "output",
            LimitHit::Enqueue => "enqueue",
            LimitHit::HttpRequests => "http-requests",
            LimitHit::Room => "guest-memory",
        }
    }
}

/// All limits that a call hit, except for that on its output, which is not a property of the call.
pub(super) fn of(error: Option<&wasmtime::Error>, state: &State) -> Vec<LimitHit> {
    let mut hits = Vec::new();
    match error.map_or(state.limits.exhausted, |error| border::exhausted(&state.limits, error)) {
        Some(Exhausted::Memory) => hits.push(LimitHit::Memory),
        Some(Exhausted::Tables) => hits.push(LimitHit::Tables),
        None => {}
    }
    hits.extend(error.and_then(fatal));
    if error.is_some_and(wasmtime::Error::is::<NoRoom>) {
        hits.push(LimitHit::Room);
    }
    for (limit, full) in [
        (LimitHit::Log, state.log.is_full()),
        (LimitHit::Enqueue, state.enqueue.outbox().is_full()),
        (LimitHit::HttpRequests, state.hooks.is_full()),
    ] {
        if full {
            hits.push(limit);
        }
    }
    hits
}

/// The limit that ended the call.
fn fatal(error: &wasmtime::Error) -> Option<LimitHit> {
    if error.downcast_ref::<StopCause>() == Some(&StopCause::Deadline) {
        Some(LimitHit::Deadline)
    } else if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        Some(LimitHit::Stack)
    } else if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        Some(LimitHit::Handles)
    } else if border::passes_too_much(error) {
        Some(LimitHit::HostcallBytes)
    } else {
        None
    }
}

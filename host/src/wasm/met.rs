//! Which limits a call met: read once, when it is over, off what it left behind.

use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

use super::border;
use super::control::StopCause;
use super::limits::Exhausted;
use super::room::NoRoom;
use super::state::State;

/// A limit that cost a run something: its life, or what it wanted more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the labels say it")]
pub enum LimitMet {
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

impl LimitMet {
    /// As metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            LimitMet::Memory => "memory",
            LimitMet::Tables => "tables",
            LimitMet::Deadline => "deadline",
            LimitMet::Stack => "stack",
            LimitMet::Handles => "handles",
            LimitMet::HostcallBytes => "hostcall-bytes",
            LimitMet::Log => "log",
            LimitMet::Output => "output",
            LimitMet::Enqueue => "enqueue",
            LimitMet::HttpRequests => "http-requests",
            LimitMet::Room => "guest-memory",
        }
    }
}

/// All but the output's, which is no property of the call.
pub(super) fn of(error: Option<&wasmtime::Error>, state: &State) -> Vec<LimitMet> {
    let mut met = Vec::new();
    match error.map_or(state.limits.exhausted, |error| state.exhausted(error)) {
        Some(Exhausted::Memory) => met.push(LimitMet::Memory),
        Some(Exhausted::Tables) => met.push(LimitMet::Tables),
        None => {}
    }
    met.extend(error.and_then(fatal));
    if error.is_some_and(wasmtime::Error::is::<NoRoom>) {
        met.push(LimitMet::Room);
    }
    for (limit, full) in
        [(LimitMet::Log, state.log.is_full()), (LimitMet::Enqueue, state.outbox.is_full()), (LimitMet::HttpRequests, state.http_is_full())]
    {
        if full {
            met.push(limit);
        }
    }
    met
}

/// The limit that ended the call.
fn fatal(error: &wasmtime::Error) -> Option<LimitMet> {
    if error.downcast_ref::<StopCause>() == Some(&StopCause::Deadline) {
        Some(LimitMet::Deadline)
    } else if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
        Some(LimitMet::Stack)
    } else if matches!(error.downcast_ref::<ResourceTableError>(), Some(ResourceTableError::Full)) {
        Some(LimitMet::Handles)
    } else if border::passes_too_much(error) {
        Some(LimitMet::HostcallBytes)
    } else {
        None
    }
}

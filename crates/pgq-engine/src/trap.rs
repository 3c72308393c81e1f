//! Turns wasmtime's errors into verdicts: what the guest did, what the host had to do, and what was
//! neither's fault.

use std::borrow::Cow;

use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use super::border;
use super::control::StopCause;
use super::limits::{Exhausted, MAX_TABLE_ELEMENTS, RunLimits};
use super::room::NoRoom;
use super::state::State;
use crate::printable::{cut, printable};
use pgq_job::{Fault, FaultKind, ReleaseReason, Verdict};

/// The most bytes of a message, which should be a line rather than a file.
const MAX_MESSAGE_BYTES: usize = 1 << 10;
const MAX_TRACEBACK_BYTES: usize = 16 << 10;

/// The verdict for a run whose call did not return.
pub(super) fn verdict(error: &wasmtime::Error, state: &State, limits: &RunLimits) -> Verdict {
    if let Some(cause) = error.downcast_ref::<StopCause>() {
        return stopped(*cause, limits);
    }
    if error.is::<PoolConcurrencyLimitError>() {
        // Shares are reserved before the claim, so this is a bug in the host.
        metrics::counter!("pgq_host_no_instance_total").increment(1);
        tracing::warn!(error = %format!("{error:#}"), "a claimed job found no free instance and has to wait; please report this");
        return Verdict::Release(ReleaseReason::NoInstance);
    }
    if error.is::<NoRoom>() {
        // The next run of the plugin waits until that much memory is free.
        return Verdict::Release(ReleaseReason::NoMemory);
    }
    let (kind, message) = if let Some(exhausted) = border::exhausted(&state.limits, error) {
        let message = match exhausted {
            Exhausted::Memory => {
                format!(
                    "the run asked for more than its {} MiB of memory, including what the host holds for it",
                    state.limits.max_memory() >> 20
                )
            }
            Exhausted::Tables => {
                format!("the run asked for more than {MAX_TABLE_ELEMENTS} elements in all its tables together")
            }
        };
        (FaultKind::OutOfMemory, message)
    } else if let Some(trap) = error.downcast_ref::<Trap>() {
        match trap {
            Trap::StackOverflow => (FaultKind::StackOverflow, "the call stack is exhausted".to_owned()),
            trap => (FaultKind::Trap, trap.to_string()),
        }
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        (FaultKind::Exit, format!("the guest called exit({})", exit.0))
    } else if border::passes_too_much(error) {
        let kib = state.argument_bytes() >> 10;
        (
            FaultKind::HostError,
            format!(
                "a call of the host passed more than {kib} KiB, or the result had more than {} KiB",
                state.returns >> 10
            ),
        )
    } else {
        (FaultKind::HostError, format!("{error:#}"))
    };
    let stderr = state.log.stderr_tail();
    // A message is one line. The panic is the most useful part of it; the traceback has all the
    // text.
    let message = match stderr.split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
        "" => message,
        stderr => format!("{message}; stderr: {}", ends(stderr)),
    };
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(|frames| format!("{frames}")).unwrap_or_default();
    Verdict::Retry {
        fault: Fault {
            kind,
            reported: None,
            message: printable(cut(&message, MAX_MESSAGE_BYTES)).into_owned(),
            traceback: cut(&format!("{stderr}{backtrace}"), MAX_TRACEBACK_BYTES).to_owned(),
        },
        after: None,
    }
}

/// Both ends of a text: a panic of Rust begins with what happened, a traceback of Python ends with it.
fn ends(text: &str) -> Cow<'_, str> {
    const END: usize = 150;
    if text.len() <= 2 * END {
        return text.into();
    }
    format!("{} ... {}", cut(text, END), &text[text.ceil_char_boundary(text.len() - END)..]).into()
}

/// The verdict for a run that the host ended.
pub(super) fn stopped(cause: StopCause, limits: &RunLimits) -> Verdict {
    match cause {
        StopCause::Deadline => Verdict::Retry {
            fault: Fault::new(
                FaultKind::DeadlineExceeded,
                format!("the run was interrupted after its {:?}", limits.timeout),
            ),
            after: None,
        },
        StopCause::Cancelled => Verdict::Discard("cancelled while it ran".into()),
        StopCause::LeaseLost => Verdict::Release(ReleaseReason::LeaseLost),
        StopCause::Shutdown => Verdict::Release(ReleaseReason::HostStopped),
    }
}

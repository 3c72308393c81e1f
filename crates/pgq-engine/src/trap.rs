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

/// The line of a panic that is about a variable which guests do not have.
const ADVICE: &str = "note: run with `RUST_BACKTRACE";

/// What is in the lines of frames between a panic and its end.
const WAY_OF_A_PANIC: [&str; 7] = ["!abort", "!__rustc::", "!std::", "!core::", "!<core::", "!alloc::", "!<alloc::"];

/// Languages without destructors forget it. The engine checks it before it reads the result, so
/// there is none that could be forgiven.
const BORROW_KEPT: &str = "the call returned without dropping the handle that was lent to it, the job or the registrar: drop it on every way out (`pgq_plugin_jobs_job_drop_borrow(job)` and `pgq_plugin_registry_registrar_drop_borrow(registrar)` in C, `defer job.Drop()` in Go)";

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
    } else if is_borrow_kept(error) {
        (FaultKind::Trap, BORROW_KEPT.to_owned())
    } else {
        (FaultKind::HostError, format!("{error:#}"))
    };
    let stderr = state.log.stderr_tail();
    // A message is one line. The panic is the most useful part of it; the traceback has all the
    // text.
    let panic = panic(&stderr);
    let frames = error.downcast_ref::<WasmBacktrace>().map(|frames| readable(&frames.to_string(), panic.is_some()));
    let message = match (panic, one_line(&stderr).as_str()) {
        // The trap by which it ends says nothing.
        (Some(panic), _) if kind == FaultKind::Trap => panic,
        (_, "") => message,
        (_, stderr) => format!("{message}; stderr: {}", ends(stderr)),
    };
    let mut traceback: String = stderr.split_inclusive('\n').filter(|line| !line.starts_with(ADVICE)).collect();
    traceback.push_str(&frames.unwrap_or_default());
    Verdict::Retry {
        fault: Fault {
            kind,
            reported: None,
            message: printable(cut(&message, MAX_MESSAGE_BYTES)).into_owned(),
            traceback: cut(&traceback, MAX_TRACEBACK_BYTES).to_owned(),
        },
        after: None,
    }
}

/// What a panic of Rust prints: `thread NAME panicked at PLACE:`, the message, and advice.
fn panic(stderr: &str) -> Option<String> {
    let (_, panic) = stderr.rsplit_once(" panicked at ")?;
    let (place, message) = panic.split_once(":\n")?;
    let message: Vec<&str> = message.lines().take_while(|line| !line.starts_with(ADVICE)).collect();
    Some(one_line(&format!("panicked at {place}: {}", message.join(" "))))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A backtrace without the hashes in names of Rust. A panic has made its way through the standard
/// library first, which says nothing.
fn readable(backtrace: &str, is_panic: bool) -> String {
    let mut lines = backtrace.lines().map(without_hashes);
    let heading = lines.next().into_iter();
    let is_way = |line: &String| is_panic && WAY_OF_A_PANIC.iter().any(|part| line.contains(part));
    heading.chain(lines.skip_while(is_way)).collect::<Vec<_>>().join("\n")
}

/// Names end with `::h` and a hash, or have one in brackets behind their crates.
fn without_hashes(line: &str) -> String {
    const DIGITS: usize = 16;
    let is_hash = |text: &str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = line.split('[');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if is_hash(hash) => name.push_str(rest),
            _ => name.extend(["[", part]),
        }
    }
    match name.rsplit_once("::h") {
        Some((short, hash)) if is_hash(hash) => short.to_owned(),
        _ => name,
    }
}

/// wasmtime has no typed error for this.
fn is_borrow_kept(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("borrow handles still remain")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_place_and_its_message() {
        let stderr = "before\n\nthread '<unnamed>' (1) panicked at src/lib.rs:17:44:\nno customer\nat all\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(panic(stderr).as_deref(), Some("panicked at src/lib.rs:17:44: no customer at all"));
        assert_eq!(panic("it panicked at noon"), None);
        assert_eq!(panic(""), None);
    }

    #[test]
    fn frames_have_no_hashes_and_begin_where_the_panic_was() {
        let frames = "error while executing at wasm backtrace:\n    0: 0x1 - greet.wasm!abort\n    1: 0x2 - greet.wasm!std::process::abort::h5892357cfbcb930c\n    2: 0x3 - greet.wasm!core[5892357cfbcb930c]::panicking::panic_fmt\n    3: 0x4 - greet.wasm!greet::greet::h5892357cfbcb930c\n    4: 0x5 - greet.wasm!std::h58";
        let heading = "error while executing at wasm backtrace:\n";
        let own = "    3: 0x4 - greet.wasm!greet::greet\n    4: 0x5 - greet.wasm!std::h58";
        assert_eq!(readable(frames, true), format!("{heading}{own}"));
        assert!(readable(frames, false).contains("1: 0x2 - greet.wasm!std::process::abort\n"));
        assert_eq!(readable("", true), "");
    }
}

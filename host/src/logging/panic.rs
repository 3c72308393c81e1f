//! A panic is one event, like everything else that is logged.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::thread;

/// From now on. Without this, Rust prints a panic as several lines of its own, to a stderr that may
/// be stuck or gone. `flush` writes what is left of the log.
pub(super) fn install(flush: fn()) {
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string);
        let said = panic.payload_as_str().unwrap_or("of a value that is no text");
        let current = thread::current();
        // As everywhere in Rust, RUST_BACKTRACE=1 asks for it: to find the names takes a second and
        // much memory.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(
            panic.location = location,
            panic.thread = current.name(),
            panic.backtrace = backtrace,
            "a bug in the host: panicked: {said}"
        );
        // The process ends with its main thread, and nobody else would wait for the line to be
        // written.
        if current.name() == Some("main") {
            flush();
        }
    }));
}

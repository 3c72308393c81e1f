//! Logs a panic as one event.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::thread;

/// Install the hook. Without it, Rust prints a panic as several lines, to a stderr that may be
/// stuck or closed. `flush` writes the remaining lines.
pub(super) fn install(flush: fn()) {
    std::panic::set_hook(Box::new(move |panic| {
        let location = panic.location().map(ToString::to_string);
        let said = panic.payload_as_str().unwrap_or("with a value that is not text");
        let current = thread::current();
        // As everywhere in Rust, RUST_BACKTRACE=1 enables it. Resolving the names takes a second
        // and much memory.
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        tracing::error!(
            panic.location = location,
            panic.thread = current.name(),
            panic.backtrace = backtrace,
            "a bug in the host: panicked: {said}"
        );
        // The process ends with its main thread, so nobody else would wait until the line is
        // written.
        if current.name() == Some("main") {
            flush();
        }
    }));
}

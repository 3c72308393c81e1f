//! The signals that ask for an end: Ctrl-C, `kill`, and a closed terminal.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Interrupt {
    pub(crate) fn install() -> anyhow::Result<Interrupt> {
        let install = |kind| signal(kind).context("cannot catch signals");
        Ok(Interrupt {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hang_up: install(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "SIGHUP",
        }
    }
}

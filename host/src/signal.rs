//! SIGINT (Ctrl-C) and SIGTERM (systemd, Docker, Kubernetes). Both ask for an orderly stop.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Catches the signals from the moment it is created.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    received: bool,
}

impl Signals {
    pub fn install() -> anyhow::Result<Signals> {
        let install = |kind| signal(kind).context("cannot catch signals");
        Ok(Signals {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            received: false,
        })
    }

    /// The name of the next signal.
    pub async fn next(&mut self) -> &'static str {
        let name = tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        };
        self.received = true;
        name
    }

    pub fn received(&self) -> bool {
        self.received
    }
}

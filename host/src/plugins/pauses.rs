//! What operators paused, for the versions that this host serves.

use pgq_engine::Loaded;
use pgq_queue::{ActivePause, PauseTarget};

/// All pauses of the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(pub Vec<ActivePause>);

/// How an entrypoint is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Whether ticks of its schedules are skipped; otherwise their jobs wait.
    pub skips_ticks: bool,
}

impl Pauses {
    /// Whether and how an operator paused this entrypoint of this version. Of several pauses, one
    /// that skips ticks is enough to skip them.
    pub fn hold(&self, entrypoint: &str, plugin: &Loaded) -> Option<Hold> {
        let concerns = |pause: &&ActivePause| match &pause.target {
            PauseTarget::All => true,
            PauseTarget::Plugin(name) => **name == *plugin.name,
            PauseTarget::Entrypoint(name) => name == entrypoint,
            PauseTarget::Sha256(digits) => plugin.sha256.starts_with(digits.as_str()),
        };
        let all = || self.0.iter().filter(concerns);
        all().next().map(|_| Hold { skips_ticks: all().any(|pause| pause.skips_ticks) })
    }
}

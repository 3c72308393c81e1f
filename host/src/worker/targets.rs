//! What is served, as claims want it.

use std::sync::Arc;
use std::time::Duration;

use crate::plugins::PluginSet;
use pgq_queue::ConcurrencyLimit;

/// Longer than a busy machine takes between asking for a time and the database's answer.
const LOOK_BACK: Duration = Duration::from_secs(5);
const LOOK_BACK_LIMITED: Duration = Duration::from_millis(20);

/// Entrypoints that may be claimed now, by how they are claimed.
pub(super) struct Targets {
    pub(super) all: Vec<Arc<str>>,
    pub(super) unlimited: Vec<Arc<str>>,
    /// With the number that may be claimed for them now at most, if there is one.
    pub(super) limited: Vec<(ConcurrencyLimit, Option<u32>)>,
    /// Those of the rest for which only so many may be claimed now.
    pub(super) few: Vec<(Arc<str>, u32)>,
}

impl Targets {
    /// How far to look back for what became due since a look that began so long ago. A job without a limit that is due and was left is
    /// claimed by the next look, so there is no harm in finding it; one with a limit may wait for a slot, one that is held back for room, and
    /// that is no reason to look.
    pub(super) fn back(&self, since_look: Duration) -> impl Iterator<Item = (&str, Duration)> {
        let unlimited = self.unlimited.iter().map(move |entrypoint| (&**entrypoint, since_look + LOOK_BACK));
        let limited = self.limited.iter().map(|(limited, _)| &limited.entrypoint).chain(self.few.iter().map(|(entrypoint, _)| entrypoint));
        unlimited.chain(limited.map(move |entrypoint| (&**entrypoint, since_look + LOOK_BACK_LIMITED)))
    }

    /// Whether more may be claimed once something ends.
    pub(super) fn is_held_back(&self) -> bool {
        !self.few.is_empty() || self.limited.iter().any(|(_, allowance)| allowance.is_some())
    }

    pub(super) fn of(plugins: &PluginSet) -> Targets {
        let mut targets = Targets { all: Vec::new(), unlimited: Vec::new(), limited: Vec::new(), few: Vec::new() };
        for served in plugins.claimable() {
            targets.all.push(Arc::clone(&served.entrypoint));
            let entrypoint = Arc::clone(&served.entrypoint);
            // Its breaker may have opened a moment ago, before the set says so.
            match (served.options.concurrency, served.allowance()) {
                (Some(concurrency), allowance) => targets.limited.push((ConcurrencyLimit { entrypoint, concurrency }, allowance)),
                (None, Some(most)) => targets.few.push((entrypoint, most)),
                (None, None) => targets.unlimited.push(entrypoint),
            }
        }
        targets
    }
}

//! The entrypoints that are served, by how their jobs are claimed.

use std::sync::Arc;
use std::time::Duration;

use crate::plugins::PluginSet;
use pgq_queue::ConcurrencyLimit;

/// Longer than a busy machine takes between reading a clock and the database's answer.
const LOOK_BACK: Duration = Duration::from_secs(5);
const LOOK_BACK_LIMITED: Duration = Duration::from_millis(20);

/// Entrypoints that may be claimed now.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) all: Vec<Arc<str>>,
    pub(super) unlimited: Vec<Arc<str>>,
    /// Without a limit, and whose jobs are locked rather than marked.
    pub(super) locked: Vec<Arc<str>>,
    /// With a limit; and how many jobs may be claimed now, if that is bounded.
    pub(super) limited: Vec<(ConcurrencyLimit, Option<u32>)>,
    /// Without a limit, of which only so many jobs may be claimed now.
    pub(super) few: Vec<(Arc<str>, u32)>,
}

impl Targets {
    /// How far to look back for jobs that became due since the last claim began; `None`: without end. A
    /// due job without a limit that was left is claimed next, so finding it does no harm. One with a
    /// limit may wait for a slot, and one on trial for its turn: that is no reason to claim again.
    pub(super) fn back(&self, since_look: Option<Duration>) -> impl Iterator<Item = (&str, Option<Duration>)> {
        let back = move |more: Duration| since_look.map(|since| since + more);
        let unlimited =
            self.unlimited.iter().chain(&self.locked).map(move |entrypoint| (&**entrypoint, back(LOOK_BACK)));
        let limited = self
            .limited
            .iter()
            .map(|(limited, _)| &limited.entrypoint)
            .chain(self.few.iter().map(|(entrypoint, _)| entrypoint));
        unlimited.chain(limited.map(move |entrypoint| (&**entrypoint, back(LOOK_BACK_LIMITED))))
    }

    /// Whether more may be claimed once a run ends.
    pub(super) fn is_held_back(&self) -> bool {
        !self.few.is_empty() || self.limited.iter().any(|(_, allowance)| allowance.is_some())
    }

    /// `may_lock`: whether jobs may be locked at all now.
    pub(super) fn of(plugins: &PluginSet, may_lock: bool) -> Targets {
        let mut targets = Targets::default();
        for served in plugins.claimable() {
            targets.all.push(Arc::clone(&served.entrypoint));
            let entrypoint = Arc::clone(&served.entrypoint);
            // Its circuit breaker may have opened since the snapshot was made.
            match (served.options.concurrency, served.allowance()) {
                (Some(concurrency), allowance) => {
                    targets.limited.push((ConcurrencyLimit { entrypoint, concurrency }, allowance))
                }
                (None, Some(most)) => targets.few.push((entrypoint, most)),
                // A long run would be marked in the end, too.
                (None, None) if may_lock && served.locks && !served.lasting.is_long() => {
                    targets.locked.push(entrypoint)
                }
                (None, None) => targets.unlimited.push(entrypoint),
            }
        }
        targets
    }
}

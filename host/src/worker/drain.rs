//! When a drain is over: not before the last job of every entrypoint that was served, whatever
//! keeps that job waiting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::Ended;
use crate::plugins::PluginSet;
use pgq_queue::Queue;

/// How often to ask for jobs of other workers, which can end without a notification.
pub(super) const POLL: Duration = Duration::from_secs(5);
/// Between two log lines on why the drain is not over.
const SAY: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Drain {
    /// All entrypoints that were served since the drain began. One that is not served any more may
    /// still have jobs.
    served: BTreeSet<Arc<str>>,
    said: Option<Instant>,
}

impl Drain {
    /// Add what is served now.
    pub(super) fn serves(&mut self, plugins: &PluginSet) {
        for served in plugins.served() {
            if !self.served.contains(&served.entrypoint) {
                self.served.insert(Arc::clone(&served.entrypoint));
            }
        }
    }

    /// How the drain ended, if it did. To be asked when this host holds no job.
    pub(super) async fn ended(&mut self, queue: &Queue, plugins: &PluginSet) -> sqlx::Result<Option<Ended>> {
        let served: Vec<Arc<str>> = self.served.iter().cloned().collect();
        if !queue.has_work(&served).await? {
            return Ok(Some(Ended::Drained));
        }
        let left = queue.count_left(&served).await?;
        if left.is_empty() {
            return Ok(Some(Ended::Drained));
        }
        let said: Vec<String> =
            left.iter().map(|(entrypoint, queued, picked)| why(plugins, entrypoint, *queued, *picked)).collect();
        let said = said.join("; ");
        if left.iter().all(|(entrypoint, ..)| plugins.get(entrypoint).is_none()) {
            return Ok(Some(Ended::Left(said)));
        }
        if self.said.is_none_or(|at| at.elapsed() >= SAY) {
            self.said = Some(Instant::now());
            tracing::info!(left = said, "the drain waits");
        }
        Ok(None)
    }
}

fn why(plugins: &PluginSet, entrypoint: &str, queued: i64, picked: i64) -> String {
    let queued = match (queued, plugins.get(entrypoint), plugins.get_claimable(entrypoint)) {
        (0, ..) => None,
        (_, None, _) => Some(format!("{queued} queued, which no plugin serves any more")),
        (_, Some(_), None) if plugins.hold(entrypoint).is_some() => {
            Some(format!("{queued} queued, paused by an operator"))
        }
        (_, Some(_), None) => Some(format!("{queued} queued, held back by its circuit breaker")),
        (_, Some(_), Some(_)) => Some(format!("{queued} queued, due later or behind a limit")),
    };
    let picked = (picked > 0).then(|| format!("{picked} held by other workers"));
    let parts: Vec<String> = queued.into_iter().chain(picked).collect();
    format!("{entrypoint:?}: {}", parts.join(", "))
}

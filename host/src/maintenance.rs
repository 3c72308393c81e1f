//! Periodic work: putting jobs of lost workers back, and counting the log into PgQueuer's statistics.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::queue::{Queue, RescueRule};

/// Log rows counted in one statement: a backlog is worked off in bounded transactions.
const AGGREGATE_BATCH: usize = 10_000;

/// Look for lost jobs at the start and then twice per lease, each host at its own pace, until `stop`.
pub async fn rescue(queue: Queue, leases: Arc<Leases>, plugins: watch::Receiver<Arc<PluginSet>>, lease: Duration, stop: CancellationToken) {
    loop {
        let rules = rules(&plugins.borrow());
        if !rules.is_empty() {
            match queue.rescue(&rules, lease, &leases.ids()).await {
                Ok(rescued) => {
                    for job in rescued {
                        tracing::warn!(job.id = job.id, job.entrypoint = job.entrypoint, status = job.status, "its worker was lost");
                    }
                }
                Err(error) => tracing::warn!(error = %error, "cannot look for lost jobs; trying again"),
            }
        }
        let period = (lease / 2).mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(period)).await.is_none() {
            return;
        }
    }
}

/// Count the log into the statistics, at every interval, until `stop`. One host of all that share the queue does it at a time.
pub async fn aggregate(queue: Queue, interval: Duration, stop: CancellationToken) {
    loop {
        let pause = interval.mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        loop {
            match queue.aggregate(AGGREGATE_BATCH).await {
                Ok(AGGREGATE_BATCH) if !stop.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot count the log into the statistics; trying again");
                    break;
                }
            }
        }
    }
}

fn rules(plugins: &PluginSet) -> Vec<RescueRule> {
    plugins
        .served()
        .map(|served| RescueRule {
            entrypoint: served.entrypoint.to_string(),
            max_attempts: served.options.max_attempts,
            on_failure: served.options.on_failure,
        })
        .collect()
}

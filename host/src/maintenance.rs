//! Periodic work: putting jobs of lost workers back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::queue::{Queue, RescueRule};

/// Look for lost jobs at the start and then three times per lease, each host at its own pace, until `stop`.
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
        let period = (lease / 3).mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(period)).await.is_none() {
            return;
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

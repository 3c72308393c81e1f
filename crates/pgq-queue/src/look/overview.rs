//! What is going on: how much waits, runs and is held of each entrypoint, and how its jobs ended
//! lately.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::depths::{DepthFilter, EntrypointDepth};
use super::minutes::{Lately, Minute};
use super::runs::RunTimes;
use crate::Operator;

/// Entrypoints of one look at most.
pub const MOST_ENTRYPOINTS: usize = 1_000;

/// Which entrypoints to tell of.
#[derive(Debug, Clone, Default)]
pub struct OverviewFilter {
    /// Those after this one, in the database's order of names.
    pub after: Option<String>,
    /// This one alone. The minutes are its own then.
    pub entrypoint: Option<String>,
    /// How many; at most [`MOST_ENTRYPOINTS`].
    pub limit: usize,
}

/// One entrypoint.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct EntrypointLook {
    pub entrypoint: String,
    #[serde(flatten)]
    pub depth: EntrypointDepth,
    /// What was logged of it.
    pub lately: Lately,
    /// `None`: no run of it is among those that were looked at.
    pub runs: Option<RunTimes>,
}

#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Overview {
    pub at: DateTime<Utc>,
    /// By name: those of which the queue holds something, or something was logged in the last hour.
    pub entrypoints: Vec<EntrypointLook>,
    /// The name after which the next page begins; `None`: there are no more.
    pub next: Option<String>,
    /// The last sixty minutes, the oldest first. The last one is not over.
    pub minutes: Vec<Minute>,
    /// Whether more was logged than is counted for a look, so that the numbers are too small.
    pub minutes_cut: bool,
    /// Of all entrypoints.
    pub runs: Option<RunTimes>,
}

impl Operator {
    /// What is going on. It reads indexes and counters, and no more of them than one look is worth.
    pub async fn overview(&self, filter: &OverviewFilter) -> sqlx::Result<Overview> {
        let mut throughput = self.throughput(filter.entrypoint.as_deref()).await?;
        let mut runs = self.recent_runs().await?;
        let depths = DepthFilter {
            after: filter.after.clone(),
            only: filter.entrypoint.clone(),
            limit: filter.limit.clamp(1, MOST_ENTRYPOINTS),
            named: throughput.by_name.keys().cloned().collect(),
        };
        let depths = self.depths(depths).await?;
        let look = |(entrypoint, depth): (String, EntrypointDepth)| EntrypointLook {
            depth,
            lately: throughput.by_name.remove(&entrypoint).unwrap_or_default(),
            runs: runs.by_entrypoint.remove(&entrypoint),
            entrypoint,
        };
        Ok(Overview {
            at: Utc::now(),
            entrypoints: depths.all.into_iter().map(look).collect(),
            next: depths.next,
            minutes: throughput.minutes,
            minutes_cut: throughput.cut,
            runs: runs.all,
        })
    }
}

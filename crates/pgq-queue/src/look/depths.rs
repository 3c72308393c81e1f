//! How much of each entrypoint is in the queue, counted only so far: a long queue costs no more to
//! look at than a short one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use sqlx::Row as _;

use super::statements;
use crate::Operator;
use crate::text::text;

const WITHIN: Duration = Duration::from_secs(5);
/// Jobs that are counted for a look, of all entrypoints together.
const COUNTED: i64 = 20_000;
/// Running jobs that are looked at: more than a fleet has places.
const MOST_RUNNING: i64 = 20_000;

/// A number of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Amount {
    pub jobs: i64,
    /// Whether there are more: nobody counted on.
    pub more: bool,
}

/// What the queue holds of one entrypoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, utoipa::ToSchema)]
pub struct EntrypointDepth {
    /// Jobs that could run now.
    pub due: Amount,
    /// Jobs whose time has not come.
    pub deferred: Amount,
    pub running: Amount,
    /// Jobs that failed for good and are kept.
    pub held: Amount,
    /// How long the job that is due longest has waited.
    pub oldest_seconds: Option<f64>,
}

/// Which entrypoints.
#[derive(Debug, Clone, Default)]
pub(super) struct DepthFilter {
    pub(super) after: Option<String>,
    pub(super) only: Option<String>,
    pub(super) limit: usize,
    /// Wanted even if the queue holds nothing of them.
    pub(super) named: Vec<String>,
}

/// In the database's order of the names, and the name after which there are more.
#[derive(Debug, Default)]
pub(super) struct Depths {
    pub(super) all: Vec<(String, EntrypointDepth)>,
    pub(super) next: Option<String>,
}

impl Amount {
    fn counted(jobs: i64, enough: i64) -> Amount {
        Amount { jobs: jobs.min(enough), more: jobs > enough }
    }
}

impl Operator {
    /// What the queue holds of these entrypoints.
    pub(super) async fn depths(&self, filter: DepthFilter) -> sqlx::Result<Depths> {
        let running = sqlx::query(self.sql(statements::DEPTHS_RUNNING)).persistent(false).bind(MOST_RUNNING + 1);
        let running =
            self.read(WITHIN, |transaction| Box::pin(async move { running.fetch_all(transaction).await })).await?;
        let mut running_by_name = BTreeMap::<String, i64>::new();
        for row in &running {
            running_by_name.insert(text(row, "entrypoint")?, row.try_get("running")?);
        }
        let more_run = running_by_name.values().sum::<i64>() > MOST_RUNNING;
        let mut named = filter.named;
        named.extend(running_by_name.keys().cloned());
        let depths = sqlx::query(self.sql(statements::DEPTHS))
            .persistent(false)
            .bind(filter.after)
            .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1))
            .bind(COUNTED)
            .bind(filter.only)
            .bind(named);
        let rows =
            self.read(WITHIN, |transaction| Box::pin(async move { depths.fetch_all(transaction).await })).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let (name, enough): (String, i64) = (text(row, "entrypoint")?, row.try_get("enough")?);
            let amount = |column| Ok::<_, sqlx::Error>(Amount::counted(row.try_get(column)?, enough));
            let depth = EntrypointDepth {
                due: amount("due")?,
                deferred: amount("deferred")?,
                running: Amount { jobs: running_by_name.remove(&name).unwrap_or_default(), more: more_run },
                held: amount("held")?,
                oldest_seconds: row.try_get("oldest_seconds")?,
            };
            all.push((name, depth));
        }
        let is_cut = all.len() > filter.limit;
        all.truncate(filter.limit);
        let next = if is_cut { all.last().map(|(name, _)| name.clone()) } else { None };
        Ok(Depths { all, next })
    }
}

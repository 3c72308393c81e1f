//! How long runs took, minute by minute, from a few runs of each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::Row as _;

use super::statements;
use crate::Operator;

const WITHIN: Duration = Duration::from_secs(2);
/// Runs of a minute that are looked at: enough for a percentile.
const SAMPLE: i64 = 100;

/// How long some runs of a minute took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MinuteTimes {
    /// Its beginning.
    pub at: DateTime<Utc>,
    /// How many runs this tells of.
    pub runs: i64,
    pub p50_us: i64,
    pub p95_us: i64,
}

impl Operator {
    /// The minutes between these times in which runs ended.
    pub async fn minute_times(&self, first: DateTime<Utc>, last: DateTime<Utc>) -> sqlx::Result<Vec<MinuteTimes>> {
        if !self.features().await?.attempts {
            return Ok(Vec::new());
        }
        let minute = |at: DateTime<Utc>| at.timestamp().div_euclid(60);
        let query = sqlx::query(self.sql(statements::MINUTE_TIMES)).persistent(false);
        let query = query.bind(minute(first)).bind(minute(last)).bind(SAMPLE);
        let rows = self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
        let times = rows.iter().map(|row| {
            let at = DateTime::from_timestamp(row.try_get::<i64, _>("minute")?.saturating_mul(60), 0);
            let (runs, p50_us, p95_us) = (row.try_get("runs")?, row.try_get("p50_us")?, row.try_get("p95_us")?);
            Ok(MinuteTimes { at: at.unwrap_or_default(), runs, p50_us, p95_us })
        });
        times.collect()
    }
}

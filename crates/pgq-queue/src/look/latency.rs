//! How long runs took, minute by minute, from a few runs of each.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::last_hour::{MINUTES, unread};
use super::minute_times::MinuteTimes;
use super::statements;
use crate::Operator;

const WITHIN: Duration = Duration::from_secs(2);
/// Runs of a minute that are looked at: enough for a percentile.
const SAMPLE: i64 = 100;
/// An attempt bears the time at which its transaction began, and is seen a little later.
const OPEN_MINUTES: i64 = 2;

impl Operator {
    /// The minutes of the last hour in which runs ended, the oldest first.
    pub async fn latency(&self) -> sqlx::Result<Vec<MinuteTimes>> {
        if !self.features().await?.attempts {
            return Ok(Vec::new());
        }
        let (now, mut known) = (Utc::now().timestamp().div_euclid(60), self.hour.times.lock().await);
        let from = unread(now, known.last_key_value().map(|(minute, _)| *minute), OPEN_MINUTES);
        let query = sqlx::query(self.sql(statements::MINUTE_TIMES)).persistent(false);
        let query = query.bind(from).bind(now).bind(SAMPLE);
        let rows = self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
        for row in &rows {
            let minute: i64 = row.try_get("minute")?;
            let at = DateTime::from_timestamp(minute.saturating_mul(60), 0).unwrap_or_default();
            let (runs, p50_us, p95_us) = (row.try_get("runs")?, row.try_get("p50_us")?, row.try_get("p95_us")?);
            known.insert(minute, MinuteTimes { at, runs, p50_us, p95_us });
        }
        let beyond = now - MINUTES + 1;
        *known = known.split_off(&beyond);
        Ok(known.values().copied().collect())
    }
}

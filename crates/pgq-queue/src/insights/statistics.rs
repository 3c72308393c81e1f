//! PgQueuer's statistics: what happened to jobs, counted by seconds.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use crate::Operator;
use crate::look::statements;
use crate::millis::millis;
use crate::text::Lossy;

const WITHIN: Duration = Duration::from_secs(10);
/// Rows of each table that are looked at.
const MOST_ROWS: i64 = 100_000;

/// What happened in one second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct StatisticsRow {
    pub count: i64,
    pub created: DateTime<Utc>,
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    pub priority: i32,
    pub status: String,
}

/// All that happened to the jobs of one entrypoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct ThroughputTotal {
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    pub status: String,
    /// Digits: a sum of PostgreSQL's has no largest number.
    pub total_count: String,
}

impl Operator {
    /// Seconds in which something happened, the newest first. What is logged and not counted yet is
    /// in it: PgQueuer counts it first, and this only looks.
    pub async fn statistics_rows(&self, limit: i64, younger: Option<Duration>) -> sqlx::Result<Vec<StatisticsRow>> {
        let sql = self.sql_with(statements::STATISTICS_ROWS, self.features().await?);
        let query = sqlx::query_as(sql).persistent(false).bind(limit).bind(younger.map(millis)).bind(MOST_ROWS);
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }

    /// What the statistics say in total, as far as it is counted.
    pub async fn throughput_totals(&self, younger: Option<Duration>) -> sqlx::Result<Vec<ThroughputTotal>> {
        let sql = self.sql(include_str!("../sql/operator/throughput_totals.sql"));
        let query = sqlx::query_as(sql).persistent(false).bind(younger.map(millis));
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

//! Which version of a plugin ran each attempt: rows that the outcome's own statement writes, and that go after a while.

use std::time::Duration;

use sqlx::postgres::PgQueryResult;

use super::{Queue, Record};

/// The last part of what records an outcome, put in for `{attempted}`. A job that was given back without a run has no row.
pub(super) const ATTEMPTED: &str = "attempted AS (
    {into_attempt}SELECT id, attempt, plugin, elapsed_us, memory_bytes FROM ours WHERE plugin IS NOT NULL
)";

/// The range index is what finds old rows; the connections of a worker know no bitmap scan otherwise.
pub(super) const PRUNE: &str = "DELETE FROM {attempt} WHERE created < now() - $1::bigint * interval '1 millisecond'";

/// One run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// The key of the plugin's version.
    pub plugin: i64,
    /// Wall time.
    pub elapsed: Duration,
    /// Peak of its linear memories, in bytes.
    pub memory: usize,
}

/// Many of them, as `unnest` wants them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) number: Vec<Option<i32>>,
    pub(super) plugin: Vec<Option<i64>>,
    pub(super) elapsed_us: Vec<Option<i64>>,
    pub(super) memory: Vec<Option<i64>>,
}

impl Attempts {
    pub(super) fn of(records: &[&Record]) -> Attempts {
        let mut columns = Attempts::default();
        for attempt in records.iter().map(|record| record.attempt) {
            columns.number.push(attempt.map(|a| i32::try_from(a.number).unwrap_or(i32::MAX)));
            columns.plugin.push(attempt.map(|a| a.plugin));
            columns.elapsed_us.push(attempt.map(|a| i64::try_from(a.elapsed.as_micros()).unwrap_or(i64::MAX)));
            columns.memory.push(attempt.map(|a| i64::try_from(a.memory).unwrap_or(i64::MAX)));
        }
        columns
    }
}

impl Queue {
    /// Drop attempts older than this; returns how many there were.
    pub async fn prune_attempts(&self, age: Duration) -> sqlx::Result<u64> {
        if self.sql.lacking.attempts {
            return Ok(0);
        }
        let prune = sqlx::query(self.sql.prune_attempts.clone()).persistent(false).bind(super::millis(age));
        let pool = self.pool.patient();
        let pruned: PgQueryResult = pool
            .transaction(|transaction| {
                Box::pin(async move {
                    sqlx::raw_sql("SET LOCAL enable_bitmapscan = on").execute(&mut *transaction).await?;
                    prune.execute(transaction).await
                })
            })
            .await?;
        Ok(pruned.rows_affected())
    }
}

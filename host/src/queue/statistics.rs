//! PgQueuer's statistics: its log, counted per second, entrypoint, priority and status.

use super::Queue;

/// Counts what it has marked itself: two of these at once, or one beside PgQueuer's, wait for each other's rows and then find them
/// marked. (PgQueuer 1.6 counts first and marks then, and two readers count twice.) The lock is the one of its periodic task: who
/// does not get it leaves the work to whoever has it.
pub(super) const AGGREGATE: &str = "
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('{statistics.dotted}')) AS mine
), batch AS MATERIALIZED (
    SELECT id FROM {log} WHERE NOT aggregated AND (SELECT mine FROM turn) LIMIT $1 FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE {log} AS l SET aggregated = true FROM batch WHERE l.id = batch.id
    RETURNING l.entrypoint, l.priority, l.status, date_trunc('sec', l.created) AS second
), counted AS (
    INSERT INTO {statistics} AS s (created, count, priority, status, entrypoint)
    SELECT second, count(*), priority, status, entrypoint FROM marked GROUP BY second, priority, status, entrypoint
    ORDER BY second, priority, status, entrypoint
    ON CONFLICT (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
    DO UPDATE SET count = s.count + EXCLUDED.count
)
SELECT count(*) FROM marked";

impl Queue {
    /// Count up to `max` log rows that were not counted yet; returns how many there were.
    pub async fn aggregate(&self, max: usize) -> sqlx::Result<usize> {
        let counted: i64 =
            sqlx::query_scalar(self.sql.aggregate.clone()).bind(i64::try_from(max).unwrap_or(i64::MAX)).fetch_one(&self.pool).await?;
        Ok(usize::try_from(counted).unwrap_or(0))
    }
}

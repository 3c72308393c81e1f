//! PgQueuer's statistics: its log, counted per second, entrypoint, priority and status.
//!
//! What hosts write when they claim and finish is counted by the very statements that write it, into the tally; the rest of the log (of
//! producers, of PgQueuer's workers, of what is rare) row by row, as PgQueuer does it. Counting adds both up.

use super::Queue;

/// Counts what it has marked or taken away itself: two of these at once, or one beside PgQueuer's, wait for each other's rows and then find
/// them gone. (PgQueuer 1.6 counts first and marks then, and two readers count twice.) The lock is the one of its periodic task: who
/// does not get it leaves the work to whoever has it.
pub(super) const AGGREGATE: &str = "
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('{statistics.dotted}')) AS mine
), batch AS MATERIALIZED (
    SELECT id FROM {log} WHERE NOT aggregated AND (SELECT mine FROM turn) LIMIT $1 FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE {log} AS l SET aggregated = true FROM batch WHERE l.id = ANY (ARRAY[batch.id])
    RETURNING l.entrypoint, l.priority, l.status, date_trunc('sec', l.created) AS second
), {taken}, counted AS (
    INSERT INTO {statistics} AS s (created, count, priority, status, entrypoint)
    SELECT second, sum(count), priority, status, entrypoint
    FROM (SELECT *, 1 AS count FROM marked UNION ALL SELECT * FROM taken) AS added
    GROUP BY second, priority, status, entrypoint
    ORDER BY second, priority, status, entrypoint
    ON CONFLICT (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
    DO UPDATE SET count = s.count + EXCLUDED.count
)
SELECT (SELECT mine FROM turn), (SELECT count(*) FROM marked), (SELECT count(*) FROM taken)";

/// Put in for `{taken}`.
pub(super) const TAKEN: &str = "tallies AS MATERIALIZED (
    SELECT id FROM {tally} WHERE (SELECT mine FROM turn) LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM {tally} AS t USING tallies WHERE t.id = ANY (ARRAY[tallies.id])
    RETURNING t.entrypoint, t.priority, t.status::{status}, t.created AS second, t.count
)";

/// The same where there is no tally.
pub(super) const NOTHING_TAKEN: &str = "taken AS (
    SELECT entrypoint, priority, status, created AS second, count FROM {statistics} WHERE $2::bigint < 0
)";

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Whether nobody else was counting.
    pub turn: bool,
    /// Rows of the log.
    pub logged: usize,
    /// Rows of the tally, each for many rows of the log.
    pub tallied: usize,
}

impl Counted {
    /// Whether there was nothing to count.
    pub fn is_nothing(&self) -> bool {
        self.logged + self.tallied == 0
    }
}

impl Queue {
    /// Resolves when this worker added to the tally since the last call.
    pub async fn tallied(&self) {
        self.tallied.notified().await;
    }

    /// Count up to so many rows of the log, and up to so many of the tally, that were not counted yet.
    pub async fn aggregate(&self, logged: usize, tallied: usize) -> sqlx::Result<Counted> {
        let most = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let (turn, logged, tallied): (bool, i64, i64) =
            sqlx::query_as(self.sql.aggregate.clone()).bind(most(logged)).bind(most(tallied)).fetch_one(&self.pool.patient()).await?;
        Ok(Counted { turn, logged: usize::try_from(logged).unwrap_or(0), tallied: usize::try_from(tallied).unwrap_or(0) })
    }
}

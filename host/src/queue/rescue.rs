//! Jobs whose worker has not been heard of for longer than a lease lasts.

use std::time::Duration;

use sqlx::Row as _;

use super::{Queue, millis};
use crate::job::{JobId, OnFailure};

/// Whether there is anything to do. The rest of the time, and that is nearly always, nothing is written: PgQueuer's trigger would
/// wake every worker after a DELETE of no rows, too.
pub(super) const ANY_LOST: &str = "
SELECT EXISTS (
    SELECT FROM {queue}
    WHERE status = 'picked' AND entrypoint = ANY($1) AND heartbeat < now() - $2 * interval '1 millisecond' AND NOT id = ANY($3))";

/// A lost worker counts as a failed run: a job that kills its worker must not be tried for ever. The row goes back into the queue,
/// where whoever is free takes it (the trigger wakes them), or fails for good with the evidence in its log.
pub(super) const RESCUE: &str = "
WITH rule AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::bool[]) AS r(entrypoint, max_attempts, hold)
), lost AS MATERIALIZED (
    SELECT q.id, q.queue_manager_id AS worker, q.heartbeat, q.attempts + 1 AS failures,
           q.attempts + 1 < rule.max_attempts AS again, rule.hold
    FROM {queue} AS q JOIN rule USING (entrypoint)
    WHERE q.status = 'picked' AND q.heartbeat < now() - $4 * interval '1 millisecond' AND NOT q.id = ANY($5)
    ORDER BY q.id LIMIT 1000
    FOR UPDATE OF q SKIP LOCKED
), kept AS (
    UPDATE {queue} AS q
    SET status = CASE WHEN lost.again THEN 'queued' ELSE 'failed' END::{status},
        attempts = lost.failures, updated = now(), queue_manager_id = NULL, slot = NULL
    FROM lost WHERE q.id = lost.id AND (lost.again OR lost.hold)
    RETURNING q.id, q.status, q.priority, q.entrypoint
), gone AS (
    DELETE FROM {queue} AS q USING lost
    WHERE q.id = lost.id AND NOT (lost.again OR lost.hold)
    RETURNING q.id, 'exception'::{status} AS status, q.priority, q.entrypoint
), touched AS (
    SELECT * FROM kept UNION ALL SELECT * FROM gone
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, traceback)
    SELECT touched.id, touched.status, touched.priority, touched.entrypoint, jsonb_build_object(
        'job_id', touched.id,
        'timestamp', now(),
        'exception_type', 'WorkerLost',
        'exception_message', format('worker %s sent no heartbeat since %s', lost.worker, lost.heartbeat),
        'traceback', '',
        'additional_context', jsonb_build_object(
            'entrypoint', touched.entrypoint, 'queue_manager_id', lost.worker, 'attempt', lost.failures))
    FROM touched JOIN lost USING (id)
)
SELECT id::bigint AS id, entrypoint, status::text AS status FROM touched";

/// What the current plugins say about a lost job.
#[derive(Debug, Clone)]
pub struct RescueRule {
    /// Of which entrypoint.
    pub entrypoint: String,
    /// Runs at most.
    pub max_attempts: u32,
    /// After the last.
    pub on_failure: OnFailure,
}

/// A job that was rescued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Which.
    pub id: JobId,
    /// Whose.
    pub entrypoint: String,
    /// `queued`, `failed` or `exception`.
    pub status: String,
}

impl Queue {
    /// Put jobs of these entrypoints back whose lease is over; not those that this host holds, whose heartbeat is only late. (A row
    /// can bear our id and not be held: when the connection broke between a claim and its answer.) At most 1,000 at a time.
    pub async fn rescue(&self, rules: &[RescueRule], lease: Duration, held: &[JobId]) -> sqlx::Result<Vec<Rescued>> {
        let entrypoints: Vec<&str> = rules.iter().map(|rule| rule.entrypoint.as_str()).collect();
        let any = sqlx::query_scalar(self.sql.any_lost.clone()).bind(&entrypoints).bind(millis(lease)).bind(held);
        if !any.fetch_one(&self.pool).await? {
            return Ok(Vec::new());
        }
        let max_attempts: Vec<i32> = rules.iter().map(|rule| i32::try_from(rule.max_attempts).unwrap_or(i32::MAX)).collect();
        let hold: Vec<bool> = rules.iter().map(|rule| rule.on_failure == OnFailure::Hold).collect();
        let rows = sqlx::query(self.sql.rescue.clone())
            .bind(entrypoints)
            .bind(max_attempts)
            .bind(hold)
            .bind(millis(lease))
            .bind(held)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok(Rescued { id: row.try_get("id")?, entrypoint: row.try_get("entrypoint")?, status: row.try_get("status")? }))
            .collect()
    }
}

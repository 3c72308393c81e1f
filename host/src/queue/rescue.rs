//! Jobs whose worker has not been heard of for longer than a lease lasts, or whose worker's sessions have all ended.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Row as _, SqlStr};
use uuid::Uuid;

use super::{Queue, millis};
use crate::job::{JobId, OnFailure};

/// Whether there is anything to do. The rest of the time, and that is nearly always, nothing is written: PgQueuer's trigger would
/// wake every worker after a DELETE of no rows, too.
pub(super) const ANY_LOST: &str = "
SELECT count(*) > 0 FROM (
    SELECT FROM {queue}
    WHERE status = 'picked' AND entrypoint = ANY($1) AND heartbeat < now() - $2 * interval '1 millisecond' AND NOT id = ANY($3)
      AND heartbeat >= coalesce(now() - $4 * interval '1 millisecond', '-infinity')
    ORDER BY heartbeat LIMIT 1) AS lost";

/// More than clocks and statements differ by.
const MARGIN: Duration = Duration::from_secs(5);

/// A lost worker counts as a failed run: a job that kills its worker must not be tried for ever. The row goes back into the queue,
/// where whoever is free takes it (the trigger wakes them), or fails for good with the evidence in its log.
const RESCUE: &str = "
WITH rule AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::bool[]) AS r(entrypoint, max_attempts, hold)
), {lost} AS MATERIALIZED (
    SELECT q.id, q.queue_manager_id AS worker, q.heartbeat, least(q.attempts, 2147483646) + 1 AS failures,
           least(q.attempts, 2147483646) + 1 < rule.max_attempts AS again, rule.hold
    FROM {queue} AS q JOIN rule USING (entrypoint)
    WHERE q.status = 'picked' AND {of}
    ORDER BY q.id LIMIT 1000
    FOR UPDATE OF q SKIP LOCKED
), kept AS (
    UPDATE {queue} AS q
    SET status = CASE WHEN lost.again THEN 'queued' ELSE 'failed' END::{status},
        attempts = lost.failures, updated = now(), queue_manager_id = NULL, slot = NULL
    FROM lost WHERE q.id = ANY (ARRAY[lost.id]) AND (lost.again OR lost.hold)
    RETURNING q.id, q.status, q.priority, q.entrypoint
), gone AS (
    DELETE FROM {queue} AS q USING lost
    WHERE q.id = ANY (ARRAY[lost.id]) AND NOT (lost.again OR lost.hold)
    RETURNING q.id, 'exception'::{status} AS status, q.priority, q.entrypoint
), touched AS (
    SELECT * FROM kept UNION ALL SELECT * FROM gone
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, traceback)
    SELECT touched.id, touched.status, touched.priority, touched.entrypoint, jsonb_build_object(
        'job_id', touched.id,
        'timestamp', now(),
        'exception_type', 'WorkerLost',
        'exception_message', format('{evidence}', lost.worker, lost.heartbeat),
        'traceback', '',
        'additional_context', jsonb_build_object(
            'entrypoint', touched.entrypoint, 'queue_manager_id', lost.worker, 'attempt', lost.failures))
    FROM touched JOIN lost USING (id)
)
SELECT id::bigint AS id, entrypoint, status::text AS status FROM touched";

/// Those whose lease is over, whoever holds them, and not those of `$5`.
pub(super) fn rescue() -> String {
    RESCUE
        .replace("{lost}", "lost")
        .replace("{of}", "q.heartbeat < now() - $4 * interval '1 millisecond' AND NOT q.id = ANY($5)")
        .replace("{evidence}", "worker %s sent no heartbeat since %s")
}

/// Those of one worker, if none of its sessions lives at this very moment. Its lock is kept until they are put back: it cannot come back
/// in between. They are found by its id, and then by their own: one plan, whatever is believed about the table.
pub(super) fn rescue_from() -> String {
    RESCUE
        .replace(
            "{lost}",
            "gone_worker AS MATERIALIZED (
    SELECT id FROM {host} WHERE id = $4 AND presence IS NOT NULL AND pg_try_advisory_xact_lock(presence)
), lost",
        )
        .replace(
            "{of}",
            "q.queue_manager_id = $4 AND q.id = ANY (ARRAY(
        SELECT held.id FROM gone_worker JOIN {queue} AS held ON held.queue_manager_id = ANY (ARRAY[gone_worker.id])
        WHERE held.status = 'picked' AND held.entrypoint = ANY($1) LIMIT 1000))",
        )
        .replace("{evidence}", "worker %s is gone: its sessions ended (its last heartbeat was at %s)")
}

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

impl FromRow<'_, PgRow> for Rescued {
    fn from_row(row: &PgRow) -> sqlx::Result<Rescued> {
        Ok(Rescued { id: row.try_get("id")?, entrypoint: row.try_get("entrypoint")?, status: row.try_get("status")? })
    }
}

impl Queue {
    /// Put jobs of these entrypoints back whose lease is over; not those that this host holds, whose heartbeat is only late. (A row
    /// can bear our id and not be held: when the connection broke between a claim and its answer.) At most 1,000 at a time.
    pub async fn rescue(&self, rules: &[RescueRule], lease: Duration, held: &[JobId]) -> sqlx::Result<Vec<Rescued>> {
        let entrypoints: Vec<&str> = rules.iter().map(|rule| rule.entrypoint.as_str()).collect();
        let began = Instant::now();
        let since = self.looks.since(began);
        let back = since.map(|last| began - last + lease + MARGIN);
        let any = sqlx::query_scalar(self.sql.any_lost.clone()).bind(&entrypoints).bind(millis(lease)).bind(held).bind(back.map(millis));
        let any: bool = any.fetch_one(&self.pool).await?;
        if !any {
            self.looks.found_nothing(since.is_none(), began, Instant::now());
            return Ok(Vec::new());
        }
        // More may be lost than one statement puts back, or it may fail: the next look is at all again.
        self.looks.forget();
        ruled(self.sql.rescue.clone(), rules).bind(millis(lease)).bind(held).fetch_all(&self.pool).await
    }

    /// Put jobs of these entrypoints back that a worker held whose sessions have ended. At most 1,000 at a time.
    pub async fn rescue_from(&self, worker: Uuid, rules: &[RescueRule]) -> sqlx::Result<Vec<Rescued>> {
        ruled(self.sql.rescue_from.clone(), rules).bind(worker).fetch_all(&self.pool).await
    }
}

/// The parameters that both begin with.
fn ruled(sql: SqlStr, rules: &[RescueRule]) -> QueryAs<'static, Postgres, Rescued, PgArguments> {
    let entrypoints: Vec<String> = rules.iter().map(|rule| rule.entrypoint.clone()).collect();
    let max_attempts: Vec<i32> = rules.iter().map(|rule| i32::try_from(rule.max_attempts).unwrap_or(i32::MAX)).collect();
    let hold: Vec<bool> = rules.iter().map(|rule| rule.on_failure == OnFailure::Hold).collect();
    sqlx::query_as(sql).bind(entrypoints).bind(max_attempts).bind(hold)
}

//! Jobs whose worker has not been heard of for longer than a lease lasts, or whose worker's sessions have all ended.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Row as _, SqlStr};
use uuid::Uuid;

use super::{Queue, millis};
use crate::boot_clock::BootInstant;
use crate::job::{JobId, OnFailure};

/// Whether there is anything to do. The rest of the time, and that is nearly always, nothing is written: PgQueuer's trigger would
/// wake every worker after a DELETE of no rows, too. The server's clock and how long it has been up come with it.
pub(super) const ANY_LOST: &str = "
SELECT count(*) > 0 AS found, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms
FROM (
    SELECT FROM {queue}
    WHERE status = 'picked' AND entrypoint = ANY($1) AND heartbeat < now() - $2 * interval '1 millisecond' AND NOT id = ANY($3)
      AND heartbeat >= coalesce(now() - $4 * interval '1 millisecond', '-infinity')
    ORDER BY heartbeat LIMIT 1) AS lost";

/// More than clocks and statements differ by.
const MARGIN: Duration = Duration::from_secs(5);

/// The rows go back into the queue, where whoever is free takes them (the trigger wakes them). Losing its worker is no failure of a job: most
/// of a worker's jobs had no part in it, and many had not even begun. From now on they are suspects, and only one that was running alone is
/// charged. Past its limit it fails for good, with the evidence in its log.
const RESCUE: &str = "
WITH rule AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::bool[]) AS r(entrypoint, most, hold)
), {lost} AS MATERIALIZED (
    SELECT q.id, q.queue_manager_id AS worker, q.heartbeat, q.updated AS claimed, q.attempts, rule.most, rule.hold
    FROM {queue} AS q JOIN rule USING (entrypoint)
    WHERE q.status = 'picked' AND {of}
    ORDER BY q.id LIMIT 1000
    FOR UPDATE OF q SKIP LOCKED
), {judged}, kept AS (
    UPDATE {queue} AS q
    SET status = CASE WHEN judged.again THEN 'queued' ELSE 'failed' END::{status},
        attempts = judged.attempts, updated = now(), queue_manager_id = NULL, slot = NULL
    FROM judged WHERE q.id = ANY (ARRAY[judged.id]) AND (judged.again OR judged.hold)
    RETURNING q.id, q.status, q.priority, q.entrypoint
), gone AS (
    DELETE FROM {queue} AS q USING judged
    WHERE q.id = ANY (ARRAY[judged.id]) AND NOT (judged.again OR judged.hold)
    RETURNING q.id, 'exception'::{status} AS status, q.priority, q.entrypoint
), touched AS (
    SELECT * FROM kept UNION ALL SELECT * FROM gone
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, traceback)
    SELECT touched.id, touched.status, touched.priority, touched.entrypoint, jsonb_build_object(
        'job_id', touched.id,
        'timestamp', now(),
        'exception_type', 'WorkerLost',
        'exception_message', format('{evidence}', judged.worker, judged.heartbeat) || judged.charge,
        'traceback', '',
        'additional_context', jsonb_build_object(
            'entrypoint', touched.entrypoint, 'queue_manager_id', judged.worker, 'attempt', judged.attempt) || judged.context)
    FROM touched JOIN judged USING (id)
)
SELECT id::bigint AS id, entrypoint, status::text AS status FROM touched";

/// A job that had begun alone is charged, one that had begun among a few is to be run alone, and one that had not begun is as it was. (That
/// a run had begun is known of suspects only.) A job that is held keeps its place among them: should it be requeued, it begins alone.
const JUDGED: &str = "judged AS MATERIALIZED (
    SELECT *, crashes < most AS again, attempts::bigint + 1 AS attempt,
           CASE WHEN crashes < most THEN '' ELSE format('; this job ran alone on %s workers that were lost', crashes) END AS charge,
           jsonb_build_object('crashes', crashes, 'max_crashes', most, 'began_alone', began AND was_alone) AS context
    FROM (
        SELECT lost.*, coalesce(past.began, false) AS began, coalesce(past.alone, false) AS was_alone,
               coalesce(past.crashes + (past.began AND past.alone)::int, 0) AS crashes
        FROM lost LEFT JOIN LATERAL (
            SELECT coalesce(claim = lost.claimed, false) AS began, alone, crashes FROM {suspect} WHERE job_id = ANY (ARRAY[lost.id])
        ) AS past ON true
    ) AS known
), suspected AS (
    INSERT INTO {suspect} (job_id, worker, alone, crashes)
    SELECT id, worker, began OR was_alone, CASE WHEN again THEN crashes ELSE 0 END FROM judged WHERE again OR hold
    ON CONFLICT (job_id) DO UPDATE
    SET lost = now(), worker = EXCLUDED.worker, claim = NULL, alone = EXCLUDED.alone, crashes = EXCLUDED.crashes
)";

/// Where there are no suspects, a lost worker counts as a failed run: a job that ends its workers must not be tried for ever.
const JUDGED_BY_ATTEMPTS: &str = "judged AS MATERIALIZED (
    SELECT *, attempts AS attempt, attempts < most AS again, '' AS charge, '{}'::jsonb AS context
    FROM (
        SELECT id, worker, heartbeat, most, hold, least(attempts::bigint + 1, 2147483647)::int AS attempts FROM lost
    ) AS counted
)";

/// Those whose lease was over at the server's time `$6`, when they were looked for, whoever holds them, and not those of `$5`. A statement that was
/// under way while the server stood still is the first to run when it goes on: by `now()`, every lease is over then.
pub(super) fn rescue(by_attempts: bool) -> String {
    judged(by_attempts)
        .replace("{lost}", "lost")
        .replace(
            "{of}",
            "q.heartbeat < least(now(), timestamptz 'epoch' + $6 * interval '1 millisecond') - $4 * interval '1 millisecond' \
             AND NOT q.id = ANY($5)",
        )
        .replace("{evidence}", "worker %s sent no heartbeat since %s")
}

/// Those of one worker, if none of its sessions lives at this very moment. Its lock is kept until they are put back: it cannot come back
/// in between. They are found by its id, and then by their own: one plan, whatever is believed about the table.
pub(super) fn rescue_from(by_attempts: bool) -> String {
    judged(by_attempts)
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

fn judged(by_attempts: bool) -> String {
    RESCUE.replace("{judged}", if by_attempts { JUDGED_BY_ATTEMPTS } else { JUDGED })
}

/// What the current plugins and the operator say about a lost job.
#[derive(Debug, Clone)]
pub struct RescueRule {
    /// Of which entrypoint.
    pub entrypoint: String,
    /// Runs at most. Counts only where the database knows no suspects.
    pub max_attempts: u32,
    /// Workers that it may end while it runs alone.
    pub max_crashes: u32,
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

/// What a look at the leases found.
#[derive(Debug, Clone, Copy)]
pub struct Overdue {
    /// Some are over.
    pub any: bool,
    /// The server's clock then, in milliseconds since the Unix epoch.
    pub clock_ms: i64,
    /// How long the server has been up.
    pub server_up: Duration,
    /// By how many milliseconds its clock jumped since the last look, if it did.
    pub clock_jumped_ms: Option<i64>,
}

impl Queue {
    /// Whether leases of jobs of these entrypoints are over; not those of the jobs that this host holds, whose heartbeat is only late.
    pub async fn any_lost(&self, rules: &[RescueRule], lease: Duration, held: &[JobId]) -> sqlx::Result<Overdue> {
        let entrypoints: Vec<_> = rules.iter().map(|rule| self.charset.name(&rule.entrypoint)).collect();
        let began = BootInstant::now();
        let since = self.looks.since(began);
        let back = since.map(|last| began - last + lease + MARGIN);
        let any = sqlx::query(self.sql.any_lost.clone()).bind(&entrypoints).bind(millis(lease)).bind(held).bind(back.map(millis));
        let row = any.fetch_one(&self.pool.patient()).await?;
        let any = row.try_get("found")?;
        let ended = BootInstant::now();
        if any {
            // More may be lost than one statement puts back, or it may fail or have to wait: the next look is at all again.
            self.looks.forget();
        } else {
            self.looks.found_nothing(since.is_none(), began, ended);
        }
        let clock_ms = row.try_get("clock_ms")?;
        let clock_jumped_ms = self.access().server_clock(clock_ms, began, ended);
        let server_up = Duration::from_millis(u64::try_from(row.try_get::<i64, _>("up_ms")?).unwrap_or(0));
        Ok(Overdue { any, clock_ms, server_up, clock_jumped_ms })
    }

    /// Put jobs of these entrypoints back whose lease was over at this time of the server's clock; not those that this host holds. (A row can
    /// bear our id and not be held: when the connection broke between a claim and its answer.) At most 1,000 at a time.
    pub async fn rescue(&self, rules: &[RescueRule], lease: Duration, clock_ms: i64, held: &[JobId]) -> sqlx::Result<Vec<Rescued>> {
        self.ruled(self.sql.rescue.clone(), rules).bind(millis(lease)).bind(held).bind(clock_ms).fetch_all(&self.pool.patient()).await
    }

    /// Put jobs of these entrypoints back that a worker held whose sessions have ended. At most 1,000 at a time.
    pub async fn rescue_from(&self, worker: Uuid, rules: &[RescueRule]) -> sqlx::Result<Vec<Rescued>> {
        self.ruled(self.sql.rescue_from.clone(), rules).bind(worker).fetch_all(&self.pool.patient()).await
    }

    /// The parameters that both begin with.
    fn ruled(&self, sql: SqlStr, rules: &[RescueRule]) -> QueryAs<'static, Postgres, Rescued, PgArguments> {
        let by_attempts = self.sql.lacking.suspects;
        let most = |rule: &RescueRule| if by_attempts { rule.max_attempts } else { rule.max_crashes };
        let entrypoints: Vec<String> = rules.iter().map(|rule| self.charset.name(&rule.entrypoint).into_owned()).collect();
        let most: Vec<i32> = rules.iter().map(|rule| i32::try_from(most(rule)).unwrap_or(i32::MAX)).collect();
        let hold: Vec<bool> = rules.iter().map(|rule| rule.on_failure == OnFailure::Hold).collect();
        sqlx::query_as(sql).bind(entrypoints).bind(most).bind(hold)
    }
}

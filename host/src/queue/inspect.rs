//! What stands in the queue: held jobs, stale jobs, who works, what waits. Read only.
//!
//! The fields, their names and their order in JSON are PgQueuer's, so that scripts over its `--json` read ours.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::text::{Lossy, optional_text, text};
use super::{Operator, millis};
use crate::job::{JobId, compact};

/// The newest failure of each comes from the log: one index look-up per row that is shown.
const FAILED: &str = "
SELECT q.id::bigint AS id, q.priority, {time:q.created} AS created, {time:q.updated} AS updated, {time:q.heartbeat} AS heartbeat,
       {time:q.execute_after} AS execute_after, q.status::text AS status, q.entrypoint,
       q.attempts, q.queue_manager_id, q.slot, q.headers::text AS headers, coalesce(octet_length(q.payload), 0)::bigint AS payload_bytes,
       concat_ws(': ', last.traceback ->> 'exception_type', last.traceback ->> 'exception_message') AS error
FROM {queue} AS q LEFT JOIN LATERAL (
    SELECT traceback FROM {log} AS l WHERE l.job_id = q.id AND l.traceback IS NOT NULL ORDER BY l.created DESC, l.id DESC LIMIT 1
) AS last ON true
WHERE q.status = 'failed'
ORDER BY q.created DESC, q.id DESC
LIMIT $1";

const STALE: &str = "
SELECT q.id::bigint AS id, q.priority, q.queue_manager_id, {time:q.created} AS created, {time:q.updated} AS updated,
       {time:q.heartbeat} AS heartbeat, {time:q.execute_after} AS execute_after, q.status::text AS status, q.entrypoint,
       extract(epoch FROM now() - {time:q.heartbeat})::float8 AS seconds_since_heartbeat
FROM {queue} AS q
WHERE q.status = 'picked' AND q.heartbeat < now() - $1 * interval '1 millisecond'
ORDER BY q.heartbeat, q.id
LIMIT $2";

const WORKERS: &str = "
SELECT queue_manager_id, count(*) AS active_jobs, {time:min(heartbeat)} AS oldest_heartbeat, {time:max(heartbeat)} AS newest_heartbeat,
       array_agg(DISTINCT entrypoint ORDER BY entrypoint) AS entrypoints
FROM {queue}
WHERE status = 'picked' AND queue_manager_id IS NOT NULL
GROUP BY queue_manager_id
ORDER BY queue_manager_id";

const BACKLOG: &str = "
SELECT entrypoint, count(*) AS queued_count, {time:min(created)} AS oldest_created,
       extract(epoch FROM now() - {time:min(created)})::float8 AS oldest_age_seconds,
       avg(extract(epoch FROM now() - {time:created}))::float8 AS avg_age_seconds
FROM {queue}
WHERE status = 'queued'
GROUP BY entrypoint
ORDER BY entrypoint";

/// A job that failed for good and is kept.
#[derive(Debug, Clone, Serialize)]
pub struct HeldJob {
    /// The row's id.
    pub id: JobId,
    /// Higher runs first.
    pub priority: i32,
    /// When it was enqueued.
    pub created: DateTime<Utc>,
    /// When it was held.
    pub updated: DateTime<Utc>,
    /// The last of its last worker.
    pub heartbeat: DateTime<Utc>,
    /// When it was due.
    pub execute_after: DateTime<Utc>,
    /// `failed`.
    pub status: String,
    /// Who was to run it.
    pub entrypoint: String,
    /// Runs that failed.
    pub attempts: i32,
    /// Nobody holds it any more.
    pub queue_manager_id: Option<Uuid>,
    /// PgQueuer leaves the seat of its last run in the row.
    pub slot: Option<i64>,
    /// As stored: an object, or null.
    pub headers: Box<RawValue>,
    /// The payload itself may be large, or secret.
    pub payload_bytes: i64,
    /// Why it failed, from the log; PgQueuer's JSON does not have it.
    #[serde(skip)]
    pub error: String,
}

impl FromRow<'_, PgRow> for HeldJob {
    fn from_row(row: &PgRow) -> sqlx::Result<HeldJob> {
        Ok(HeldJob {
            id: row.try_get("id")?,
            priority: row.try_get("priority")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            heartbeat: row.try_get("heartbeat")?,
            execute_after: row.try_get("execute_after")?,
            status: row.try_get("status")?,
            entrypoint: text(row, "entrypoint")?,
            attempts: row.try_get("attempts")?,
            queue_manager_id: row.try_get("queue_manager_id")?,
            slot: row.try_get("slot")?,
            headers: headers(optional_text(row, "headers")?),
            payload_bytes: row.try_get("payload_bytes")?,
            error: text(row, "error")?,
        })
    }
}

/// SQL NULL and JSON null are the same to every reader. As stored, to the last digit.
fn headers(text: Option<String>) -> Box<RawValue> {
    let json = text.map_or_else(|| "null".into(), |text| compact(&text));
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A running job whose worker has been silent.
#[derive(Debug, Clone, Serialize)]
pub struct StaleJob {
    /// The row's id.
    pub id: JobId,
    /// Higher runs first.
    pub priority: i32,
    /// Its worker.
    pub queue_manager_id: Option<Uuid>,
    /// When it was enqueued.
    pub created: DateTime<Utc>,
    /// When it was claimed.
    pub updated: DateTime<Utc>,
    /// The last.
    pub heartbeat: DateTime<Utc>,
    /// When it was due.
    pub execute_after: DateTime<Utc>,
    /// `picked`.
    pub status: String,
    /// Who runs it.
    pub entrypoint: String,
    /// By the database's clock.
    pub seconds_since_heartbeat: f64,
}

impl FromRow<'_, PgRow> for StaleJob {
    fn from_row(row: &PgRow) -> sqlx::Result<StaleJob> {
        Ok(StaleJob {
            id: row.try_get("id")?,
            priority: row.try_get("priority")?,
            queue_manager_id: row.try_get("queue_manager_id")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            heartbeat: row.try_get("heartbeat")?,
            execute_after: row.try_get("execute_after")?,
            status: row.try_get("status")?,
            entrypoint: text(row, "entrypoint")?,
            seconds_since_heartbeat: row.try_get("seconds_since_heartbeat")?,
        })
    }
}

/// A worker that holds jobs. One that holds none leaves no trace in PgQueuer's tables.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveWorker {
    /// Its id.
    pub queue_manager_id: Uuid,
    /// Jobs that it holds.
    pub active_jobs: i64,
    /// Of the job that was longest without.
    pub oldest_heartbeat: DateTime<Utc>,
    /// Of the job that had one last.
    pub newest_heartbeat: DateTime<Utc>,
    /// Of the jobs that it holds, sorted.
    pub entrypoints: Vec<String>,
}

impl FromRow<'_, PgRow> for ActiveWorker {
    fn from_row(row: &PgRow) -> sqlx::Result<ActiveWorker> {
        Ok(ActiveWorker {
            queue_manager_id: row.try_get("queue_manager_id")?,
            active_jobs: row.try_get("active_jobs")?,
            oldest_heartbeat: row.try_get("oldest_heartbeat")?,
            newest_heartbeat: row.try_get("newest_heartbeat")?,
            entrypoints: row.try_get::<Vec<Lossy>, _>("entrypoints")?.into_iter().map(|name| name.0).collect(),
        })
    }
}

/// What waits for an entrypoint, deferred jobs included.
#[derive(Debug, Clone, Serialize)]
pub struct Backlog {
    /// Its name.
    pub entrypoint: String,
    /// Jobs that wait.
    pub queued_count: i64,
    /// The oldest of them.
    pub oldest_created: DateTime<Utc>,
    /// Its age.
    pub oldest_age_seconds: f64,
    /// Over all of them.
    pub avg_age_seconds: f64,
}

impl FromRow<'_, PgRow> for Backlog {
    fn from_row(row: &PgRow) -> sqlx::Result<Backlog> {
        Ok(Backlog {
            entrypoint: text(row, "entrypoint")?,
            queued_count: row.try_get("queued_count")?,
            oldest_created: row.try_get("oldest_created")?,
            oldest_age_seconds: row.try_get("oldest_age_seconds")?,
            avg_age_seconds: row.try_get("avg_age_seconds")?,
        })
    }
}

impl Operator {
    /// Held jobs, the newest first.
    pub async fn failed(&self, limit: i64) -> sqlx::Result<Vec<HeldJob>> {
        sqlx::query_as(self.sql(FAILED)).bind(limit).fetch_all(&self.pool).await
    }

    /// Running jobs without a heartbeat for so long, the longest silent first.
    pub async fn stale(&self, threshold: Duration, limit: i64) -> sqlx::Result<Vec<StaleJob>> {
        sqlx::query_as(self.sql(STALE)).bind(millis(threshold)).bind(limit).fetch_all(&self.pool).await
    }

    /// Workers that hold jobs.
    pub async fn workers(&self) -> sqlx::Result<Vec<ActiveWorker>> {
        sqlx::query_as(self.sql(WORKERS)).fetch_all(&self.pool).await
    }

    /// What waits, by entrypoint.
    pub async fn backlog(&self) -> sqlx::Result<Vec<Backlog>> {
        sqlx::query_as(self.sql(BACKLOG)).fetch_all(&self.pool).await
    }
}

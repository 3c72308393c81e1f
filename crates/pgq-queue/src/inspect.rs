//! Reading the queue: held jobs, stale jobs, workers, backlog.
//!
//! Names and order of the fields in JSON are PgQueuer's, so that scripts that read its `--json`
//! read ours.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::millis::millis;
use super::text::{Lossy, optional_text, text};
use super::{HostRow, Operator};
use pgq_job::{JobId, compact};

/// A job that failed for good and is held.
#[derive(Debug, Clone, Serialize)]
pub struct HeldJob {
    pub id: JobId,
    pub priority: i32,
    /// When it was enqueued.
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    /// Last heartbeat of its last worker.
    pub heartbeat: DateTime<Utc>,
    pub execute_after: DateTime<Utc>,
    pub status: String,
    pub entrypoint: String,
    pub attempts: i32,
    /// NULL, unless PgQueuer held the job.
    pub queue_manager_id: Option<Uuid>,
    /// The slot of its last run, which PgQueuer leaves in the row.
    pub slot: Option<i64>,
    /// As stored: an object or null.
    pub headers: Box<RawValue>,
    /// Size alone: the payload may be large, or secret.
    pub payload_bytes: i64,
    /// The last failure in the log, whole. PgQueuer's JSON does not have it.
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

/// As stored, to the last digit. SQL NULL becomes JSON null.
fn headers(text: Option<String>) -> Box<RawValue> {
    let json = text.map_or_else(|| "null".into(), |text| compact(&text));
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A running job whose worker is silent.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct StaleJob {
    pub id: JobId,
    pub priority: i32,
    pub queue_manager_id: Option<Uuid>,
    /// When it was enqueued.
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub heartbeat: DateTime<Utc>,
    pub execute_after: DateTime<Utc>,
    pub status: String,
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    /// By the database's clock.
    pub seconds_since_heartbeat: f64,
}

/// A worker that holds jobs. One that holds none is not in PgQueuer's tables.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveWorker {
    pub queue_manager_id: Uuid,
    pub active_jobs: i64,
    pub oldest_heartbeat: DateTime<Utc>,
    pub newest_heartbeat: DateTime<Utc>,
    pub entrypoints: Vec<String>,
    /// Machine and process of a host that announced itself. PgQueuer's JSON does not have it.
    pub host: Option<String>,
}

impl FromRow<'_, PgRow> for ActiveWorker {
    fn from_row(row: &PgRow) -> sqlx::Result<ActiveWorker> {
        Ok(ActiveWorker {
            queue_manager_id: row.try_get("queue_manager_id")?,
            active_jobs: row.try_get("active_jobs")?,
            oldest_heartbeat: row.try_get("oldest_heartbeat")?,
            newest_heartbeat: row.try_get("newest_heartbeat")?,
            entrypoints: row.try_get::<Vec<Lossy>, _>("entrypoints")?.into_iter().map(|name| name.0).collect(),
            host: None,
        })
    }
}

/// Queued jobs of an entrypoint, deferred ones included.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Backlog {
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    pub queued_count: i64,
    pub oldest_created: DateTime<Utc>,
    pub oldest_age_seconds: f64,
    pub avg_age_seconds: f64,
}

impl Operator {
    /// Held jobs, the newest first.
    pub async fn failed(&self, limit: i64) -> sqlx::Result<Vec<HeldJob>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/failed.sql"))).bind(limit).fetch_all(&self.pool).await
    }

    /// Running jobs whose last heartbeat is older than the threshold, the oldest first.
    pub async fn stale(&self, threshold: Duration, limit: i64) -> sqlx::Result<Vec<StaleJob>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/stale.sql")))
            .bind(millis(threshold))
            .bind(limit)
            .fetch_all(&self.pool)
            .await
    }

    /// Workers that hold jobs, without the names of their hosts.
    pub(super) async fn active_workers(&self) -> sqlx::Result<Vec<ActiveWorker>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/workers.sql"))).fetch_all(&self.pool).await
    }

    /// Workers that hold jobs.
    pub async fn workers(&self) -> sqlx::Result<Vec<ActiveWorker>> {
        let mut workers = self.active_workers().await?;
        let hosts = self.hosts_if_any().await?;
        for worker in &mut workers {
            worker.host = hosts.iter().find(|host| host.id == worker.queue_manager_id).map(HostRow::label);
        }
        Ok(workers)
    }

    /// Queued jobs by entrypoint.
    pub async fn backlog(&self) -> sqlx::Result<Vec<Backlog>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/backlog.sql"))).fetch_all(&self.pool).await
    }
}

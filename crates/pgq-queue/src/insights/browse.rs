//! Rows of the queue as they are.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::Operator;
use crate::look::statements;
use crate::look::{Content, Masks};
use crate::text::{optional_text, text};
use pgq_job::JobId;

const WITHIN: Duration = Duration::from_secs(10);

/// A row of the queue table, with the beginning of its payload.
#[derive(Debug, Clone)]
pub struct BrowsedJob {
    pub id: JobId,
    pub priority: i32,
    pub queue_manager_id: Option<Uuid>,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub heartbeat: DateTime<Utc>,
    pub execute_after: DateTime<Utc>,
    pub status: String,
    pub entrypoint: String,
    pub dedupe_key: Option<String>,
    /// `None`: the job has none.
    pub payload: Option<Content>,
    /// As PostgreSQL writes them.
    pub headers: Option<String>,
    pub attempts: i32,
    pub slot: Option<i64>,
}

impl BrowsedJob {
    fn read(row: &PgRow, masks: &Masks) -> sqlx::Result<BrowsedJob> {
        let entrypoint = text(row, "entrypoint")?;
        let bytes: Option<i64> = row.try_get("payload_bytes")?;
        let mut payload =
            row.try_get::<Option<Vec<u8>>, _>("payload")?.map(|first| Content::of(&first, bytes.unwrap_or_default()));
        if let Some(payload) = &mut payload {
            masks.hide(&entrypoint, payload);
        }
        Ok(BrowsedJob {
            id: row.try_get("id")?,
            priority: row.try_get("priority")?,
            queue_manager_id: row.try_get("queue_manager_id")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            heartbeat: row.try_get("heartbeat")?,
            execute_after: row.try_get("execute_after")?,
            status: row.try_get("status")?,
            entrypoint,
            dedupe_key: optional_text(row, "dedupe_key")?,
            payload,
            headers: optional_text(row, "headers")?,
            attempts: row.try_get("attempts")?,
            slot: row.try_get("slot")?,
        })
    }
}

impl Operator {
    /// Rows of the queue, the highest priority first, with so many bytes of each payload.
    pub async fn browse(&self, limit: i64, offset: i64, bytes: i32) -> sqlx::Result<Vec<BrowsedJob>> {
        let query = sqlx::query(self.sql(statements::BROWSE_QUEUE)).persistent(false);
        let query = query.bind(limit).bind(offset).bind(bytes);
        let rows = self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
        rows.iter().map(|row| BrowsedJob::read(row, &self.masks)).collect()
    }
}

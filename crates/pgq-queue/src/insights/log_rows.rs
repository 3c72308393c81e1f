//! The newest rows of PgQueuer's log.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use crate::Operator;
use crate::look::statements;
use crate::text::{optional_text, text};
use pgq_job::JobId;

const WITHIN: Duration = Duration::from_secs(10);
/// Characters of a traceback.
const MOST_TRACEBACK: i64 = 64 << 10;
/// Failed runs among which those are looked for that ended their jobs.
const MOST_FAILURES: i64 = 20_000;

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogRow {
    pub id: i64,
    pub created: DateTime<Utc>,
    pub job_id: JobId,
    pub status: String,
    pub priority: i32,
    pub entrypoint: String,
    /// JSON as text, perhaps cut.
    pub traceback: Option<String>,
    pub aggregated: Option<bool>,
}

impl FromRow<'_, PgRow> for LogRow {
    fn from_row(row: &PgRow) -> sqlx::Result<LogRow> {
        Ok(LogRow {
            id: row.try_get("id")?,
            created: row.try_get("created")?,
            job_id: row.try_get("job_id")?,
            status: row.try_get("status")?,
            priority: row.try_get("priority")?,
            entrypoint: text(row, "entrypoint")?,
            traceback: optional_text(row, "traceback")?,
            aggregated: row.try_get("aggregated")?,
        })
    }
}

impl Operator {
    /// Rows of the log, the newest first.
    pub async fn newest_log(&self, limit: i64) -> sqlx::Result<Vec<LogRow>> {
        let query = sqlx::query_as(self.sql(statements::NEWEST_LOG)).persistent(false);
        let query = query.bind(limit).bind(MOST_TRACEBACK);
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }

    /// Log rows of jobs that failed for good and were deleted, the newest first, of those among the
    /// last 20,000 failed runs.
    pub async fn newest_exceptions(&self, limit: i64) -> sqlx::Result<Vec<LogRow>> {
        let query = sqlx::query_as(self.sql(statements::NEWEST_EXCEPTIONS)).persistent(false);
        let query = query.bind(limit).bind(MOST_TRACEBACK).bind(MOST_FAILURES);
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

//! What the log tells of one job.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use crate::text::{optional_text, text};

/// A row of the log.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobEvent {
    pub at: DateTime<Utc>,
    pub status: String,
    #[serde(skip)]
    pub(super) entrypoint: String,
    /// As PgQueuer writes it: `exception_type`, `exception_message`, `traceback` and so on.
    pub traceback: Option<Value>,
}

impl FromRow<'_, PgRow> for JobEvent {
    fn from_row(row: &PgRow) -> sqlx::Result<JobEvent> {
        let traceback = optional_text(row, "traceback")?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(JobEvent {
            at: row.try_get("at")?,
            status: row.try_get("status")?,
            entrypoint: text(row, "entrypoint")?,
            traceback,
        })
    }
}

impl JobEvent {
    /// What a host writes beside PgQueuer's keys.
    pub(super) fn context(&self) -> Option<&Value> {
        self.traceback.as_ref()?.get("additional_context")
    }
}

//! Who changed what by hand, and what hosts noted of signatures.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Operator;
use super::text::{optional_text, text};

/// Who does something, and why.
#[derive(Debug, Clone)]
pub struct Actor {
    /// A person, as they say; the database role is noted as well.
    pub author: String,
    pub reason: Option<String>,
}

/// A row of the audit that counts what is changed; none on a database that has no such table.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditId(pub(super) Option<i64>);

/// What was done.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct AuditRow {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `cancel`, `requeue`, `retry_now`, `reschedule`, `edit`, `reseal`, `reseal_outputs`, `pause`, `resume`, `reset`, `rollback`,
    /// `quarantine`, `lift_quarantine`, `run_schedule`, `remove_schedule`, `pause_schedule`, `resume_schedule`,
    /// `edit_schedule`, `restore_schedule`; of hosts `refuse`, `signer_changed`.
    pub action: String,
    pub author: String,
    pub role: String,
    pub reason: Option<String>,
    /// What was asked for.
    pub filter: Value,
    /// How many jobs were changed.
    pub jobs: i64,
}

impl FromRow<'_, PgRow> for AuditRow {
    fn from_row(row: &PgRow) -> sqlx::Result<AuditRow> {
        Ok(AuditRow {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            action: text(row, "action")?,
            author: text(row, "author")?,
            role: text(row, "role")?,
            reason: optional_text(row, "reason")?,
            filter: serde_json::from_str(&text(row, "filter")?).unwrap_or_default(),
            jobs: row.try_get("jobs")?,
        })
    }
}

impl Operator {
    /// Whether the database has the table.
    pub async fn keeps_audit(&self) -> sqlx::Result<bool> {
        Ok(self.features().await?.audit)
    }

    /// Note that somebody is about to do this.
    pub async fn begin_audit(&self, action: &str, actor: &Actor, filter: &Value) -> sqlx::Result<AuditId> {
        if !self.keeps_audit().await? {
            return Ok(AuditId(None));
        }
        let begin = sqlx::query_scalar(self.sql(include_str!("sql/operator/begin_audit.sql")))
            .bind(action.to_owned())
            .bind(actor.author.clone())
            .bind(actor.reason.clone())
            .bind(filter.to_string());
        begin.fetch_one(&self.pool).await.map(|id| AuditId(Some(id)))
    }

    /// The latest of what was done by hand.
    pub async fn audit(&self, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
        self.audit_before(None, limit).await
    }

    /// The same, of what was done before the entry with this id. Nothing where no audit is kept.
    pub async fn audit_before(&self, id: Option<i64>, limit: i64) -> sqlx::Result<Vec<AuditRow>> {
        if !self.keeps_audit().await? {
            return Ok(Vec::new());
        }
        let audit = sqlx::query_as(self.sql(include_str!("sql/operator/audit.sql")));
        audit.bind(limit).bind(id.unwrap_or(i64::MAX)).fetch_all(&self.pool).await
    }
}

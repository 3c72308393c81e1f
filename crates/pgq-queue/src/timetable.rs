//! The schedules table for operators: listing, running and removing schedules.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Operator;
use super::text::{Lossy, optional_text, text};
use pgq_job::JobId;

/// A row of the schedules table, and what operators changed of it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ListedSchedule {
    pub id: i64,
    /// The cron expression, as stored.
    pub expression: String,
    pub entrypoint: String,
    /// Of the worker that runs it last.
    pub heartbeat: DateTime<Utc>,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub next_run: DateTime<Utc>,
    /// Start of the last run; `None`: it never ran.
    pub last_run: Option<DateTime<Utc>>,
    /// `queued` or `picked`.
    pub status: Option<String>,
    /// An operator paused it: hosts skip its ticks.
    pub paused: bool,
    /// The expression by which an operator has hosts run it; `None`: as stored.
    pub replaced: Option<String>,
    /// Who changed it so, if it is changed.
    pub author: Option<String>,
    pub reason: Option<String>,
    pub changed: Option<DateTime<Utc>>,
}

impl ListedSchedule {
    /// The expression by which hosts run it.
    pub fn effective(&self) -> &str {
        self.replaced.as_deref().unwrap_or(&self.expression)
    }
}

impl FromRow<'_, PgRow> for ListedSchedule {
    fn from_row(row: &PgRow) -> sqlx::Result<ListedSchedule> {
        Ok(ListedSchedule {
            id: row.try_get("id")?,
            expression: text(row, "expression")?,
            entrypoint: text(row, "entrypoint")?,
            heartbeat: row.try_get("heartbeat")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            next_run: row.try_get("next_run")?,
            last_run: row.try_get("last_run")?,
            status: optional_text(row, "status")?,
            paused: row.try_get("paused")?,
            replaced: optional_text(row, "replaced")?,
            author: optional_text(row, "author")?,
            reason: optional_text(row, "reason")?,
            changed: row.try_get("changed")?,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RemovedSchedule {
    pub id: i64,
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
}

impl Operator {
    pub async fn schedules(&self) -> sqlx::Result<Vec<ListedSchedule>> {
        let file = include_str!("sql/operator/list_schedules.sql");
        sqlx::query_as(self.sql_with(file, self.features().await?)).fetch_all(&self.pool).await
    }

    /// The one with this id.
    pub async fn schedule(&self, id: i64) -> sqlx::Result<Option<ListedSchedule>> {
        Ok(self.schedules().await?.into_iter().find(|schedule| schedule.id == id))
    }

    /// Enqueue the job of this schedule now, beside its ticks. `None`: there is no such schedule.
    pub async fn run_schedule(&self, id: i64) -> sqlx::Result<Option<JobId>> {
        let run = sqlx::query_scalar(self.sql(include_str!("sql/operator/run_schedule.sql")));
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::AutoSi, true);
        run.bind(id).bind(now).fetch_optional(&self.pool).await
    }

    /// Remove the schedules with these ids and those of these entrypoints.
    pub async fn remove_schedules(&self, ids: &[i64], entrypoints: &[String]) -> sqlx::Result<Vec<RemovedSchedule>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/remove_schedules.sql")))
            .bind(ids)
            .bind(entrypoints)
            .fetch_all(&self.pool)
            .await
    }
}

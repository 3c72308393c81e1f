//! The schedules table for operators: listing and removing schedules.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::Operator;
use super::text::Lossy;
use pgq_job::JobId;

/// A row of the schedules table.
#[derive(Debug, Clone, Serialize, FromRow, utoipa::ToSchema)]
pub struct ListedSchedule {
    pub id: i64,
    /// The cron expression, as stored.
    #[sqlx(try_from = "Lossy")]
    pub expression: String,
    #[sqlx(try_from = "Lossy")]
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
}

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RemovedSchedule {
    pub id: i64,
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
}

impl Operator {
    pub async fn schedules(&self) -> sqlx::Result<Vec<ListedSchedule>> {
        sqlx::query_as(self.sql(include_str!("sql/operator/list_schedules.sql"))).fetch_all(&self.pool).await
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

//! The schedules table as an operator sees it: what is in it, and taking something out.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Operator;
use super::text::text;

/// PgQueuer's order: what ran longest ago first, what never ran last.
const LIST: &str = "
SELECT s.id::bigint AS id, s.expression, s.entrypoint, {time:s.heartbeat} AS heartbeat, {time:s.created} AS created,
       {time:s.updated} AS updated, {time:s.next_run} AS next_run, {time:s.last_run} AS last_run, s.status::text AS status
FROM {schedules} AS s ORDER BY s.last_run ASC, s.id ASC";

const REMOVE: &str = "DELETE FROM {schedules} WHERE id = ANY($1) OR entrypoint = ANY($2) RETURNING id::bigint AS id, entrypoint";

/// A row of the schedules table.
#[derive(Debug, Clone, Serialize)]
pub struct ListedSchedule {
    /// The row's id.
    pub id: i64,
    /// The cron expression, as stored.
    pub expression: String,
    /// What it starts.
    pub entrypoint: String,
    /// Of the worker that runs it.
    pub heartbeat: DateTime<Utc>,
    /// When it was registered.
    pub created: DateTime<Utc>,
    /// The last change.
    pub updated: DateTime<Utc>,
    /// When it is due.
    pub next_run: DateTime<Utc>,
    /// When it ended last.
    pub last_run: Option<DateTime<Utc>>,
    /// `queued` or `picked`.
    pub status: Option<String>,
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
            status: row.try_get("status")?,
        })
    }
}

/// A row that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedSchedule {
    /// The row's id.
    pub id: i64,
    /// What it started.
    pub entrypoint: String,
}

impl FromRow<'_, PgRow> for RemovedSchedule {
    fn from_row(row: &PgRow) -> sqlx::Result<RemovedSchedule> {
        Ok(RemovedSchedule { id: row.try_get("id")?, entrypoint: text(row, "entrypoint")? })
    }
}

impl Operator {
    /// All schedules.
    pub async fn schedules(&self) -> sqlx::Result<Vec<ListedSchedule>> {
        sqlx::query_as(self.sql(LIST)).fetch_all(&self.pool).await
    }

    /// Take out those of these ids and of these entrypoints.
    pub async fn remove_schedules(&self, ids: &[i64], entrypoints: &[String]) -> sqlx::Result<Vec<RemovedSchedule>> {
        sqlx::query_as(self.sql(REMOVE)).bind(ids).bind(entrypoints).fetch_all(&self.pool).await
    }
}

//! Schedules: their rows, and the ticks that become jobs.
//!
//! The table is PgQueuer's, and Python workers use it by the same rules. A row is due when it is
//! `queued` and its `next_run` has come, or when it is `picked` and its Python worker has been
//! silent for 30 seconds. A host never holds a row as `picked`: by the end of its statement, the
//! tick is a job like any other.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::Row as _;

use super::Queue;
use super::text::{optional_text, text};
use pgq_job::JobId;

/// The key of a schedule, which all workers on the table share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleKey {
    /// The cron expression as stored.
    pub expression: String,
    pub entrypoint: String,
}

#[derive(Debug, Clone)]
pub struct ScheduleRow {
    pub id: i64,
    pub key: ScheduleKey,
    /// Declared by a plugin of this host. The other rows are overdue ones of nobody.
    pub declared: bool,
    pub next_run: DateTime<Utc>,
    /// An operator paused it: its ticks are skipped.
    pub paused: bool,
    /// The expression by which an operator has it run instead.
    pub replaced: Option<String>,
    /// When a worker may take the row as it is; `None`: never.
    pub due: Option<DateTime<Utc>>,
    /// A Python worker runs it.
    pub picked: bool,
    /// Last written at a time that is still to come: the server's clock went back.
    pub from_ahead: bool,
    /// When it was due; where a Python worker died running it, that worker's last heartbeat.
    pub scheduled_for: DateTime<Utc>,
}

/// A tick that is to become a job.
#[derive(Debug)]
pub struct Tick<'a> {
    pub row: &'a ScheduleRow,
    /// The tick after this one.
    pub next: DateTime<Utc>,
    /// Move on without a job.
    pub skipped: bool,
}

/// A tick that became a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    pub id: JobId,
    pub entrypoint: String,
}

impl Queue {
    /// The database's clock, the rows of these schedules, and overdue rows that nobody serves.
    pub async fn schedules(&self, keys: &[ScheduleKey]) -> sqlx::Result<(DateTime<Utc>, Vec<ScheduleRow>)> {
        let (expressions, entrypoints) = columns(keys);
        let entrypoints: Vec<_> = entrypoints.into_iter().map(|entrypoint| self.charset.name(entrypoint)).collect();
        let rows =
            sqlx::query(self.sql.schedules.clone()).bind(expressions).bind(entrypoints).fetch_all(&self.pool).await?;
        let now = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("now")?;
        let mut schedules = Vec::with_capacity(rows.len());
        for row in rows {
            // Where there is no schedule, the clock comes in a row of NULLs.
            let Some(id) = row.try_get::<Option<i64>, _>("id")? else { continue };
            let picked = row.try_get::<Option<bool>, _>("picked")?.unwrap_or_default();
            schedules.push(ScheduleRow {
                id,
                key: ScheduleKey { expression: text(&row, "expression")?, entrypoint: text(&row, "entrypoint")? },
                declared: row.try_get("declared")?,
                next_run: row.try_get("next_run")?,
                paused: row.try_get::<Option<bool>, _>("paused")?.unwrap_or_default(),
                replaced: optional_text(&row, "replaced")?,
                due: row.try_get("due")?,
                picked,
                from_ahead: row.try_get::<Option<bool>, _>("from_ahead")?.unwrap_or_default(),
                scheduled_for: row.try_get(if picked { "heartbeat" } else { "next_run" })?,
            });
        }
        Ok((now, schedules))
    }

    /// Add rows for schedules that have none, with their next ticks.
    pub async fn add_schedules(&self, new: &[(ScheduleKey, DateTime<Utc>)]) -> sqlx::Result<()> {
        let (keys, times): (Vec<ScheduleKey>, Vec<DateTime<Utc>>) =
            new.iter().filter(|(key, _)| self.charset.name(&key.entrypoint) == key.entrypoint).cloned().unzip();
        let (expressions, entrypoints) = columns(&keys);
        sqlx::query(self.sql.add_schedules.clone())
            .bind(expressions)
            .bind(entrypoints)
            .bind(times)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Move the next ticks of these schedules back, after the server's clock was ahead. Returns how
    /// many rows were still as seen.
    pub async fn move_back(&self, ticks: &[Tick<'_>]) -> sqlx::Result<u64> {
        let ids: Vec<i64> = ticks.iter().map(|tick| tick.row.id).collect();
        let seen: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.row.next_run).collect();
        let next: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.next).collect();
        let moving = sqlx::query(self.sql.move_schedules_back.clone()).bind(ids).bind(seen).bind(next);
        Ok(moving.execute(&self.pool).await?.rows_affected())
    }

    /// Enqueue a job for each of these ticks and move its schedule on, in one statement. Ticks that
    /// another worker took are left out, and so are those that are skipped.
    pub async fn fire(&self, ticks: &[Tick<'_>]) -> sqlx::Result<Vec<Fired>> {
        let ids: Vec<i64> = ticks.iter().map(|tick| tick.row.id).collect();
        let seen: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.row.next_run).collect();
        let next: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.next).collect();
        let headers: Vec<String> = ticks.iter().map(|tick| headers(tick.row)).collect();
        let skipped: Vec<bool> = ticks.iter().map(|tick| tick.skipped).collect();
        let rows = sqlx::query(self.sql.fire_schedules.clone())
            .bind(ids)
            .bind(seen)
            .bind(next)
            .bind(headers)
            .bind(skipped)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok(Fired { id: row.try_get("id")?, entrypoint: text(row, "entrypoint")? })).collect()
    }
}

fn columns(keys: &[ScheduleKey]) -> (Vec<&str>, Vec<&str>) {
    keys.iter().map(|key| (key.expression.as_str(), key.entrypoint.as_str())).unzip()
}

/// The headers of the job: which schedule, and when it was due.
fn headers(row: &ScheduleRow) -> String {
    let scheduled_for = row.scheduled_for.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    json!({ "pgq_schedule": { "expression": row.key.expression, "scheduled_for": scheduled_for } }).to_string()
}

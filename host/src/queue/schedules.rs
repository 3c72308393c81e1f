//! Schedules: their rows, and a tick that becomes a job.
//!
//! The table is PgQueuer's and Python workers use it with the same rules: a row is due when it is `queued` and its `next_run` has
//! come, or when the Python worker that runs it (`picked`) is silent for 30 seconds. A host never holds a row as `picked`, because
//! by the end of its statement the tick is a job like any other.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::Row as _;

use super::Queue;
use super::text::text;
use crate::job::JobId;

/// The declared rows, and any other row that should have run a minute ago and that nobody runs, beside the database's clock.
pub(super) const LOOK: &str = "
SELECT now() AS now, seen.*
FROM (VALUES (1)) AS one LEFT JOIN (
    SELECT s.id::bigint, s.expression, s.entrypoint, {time:s.next_run} AS next_run, d.entrypoint IS NOT NULL AS declared,
           CASE s.status WHEN 'queued' THEN {time:s.next_run} WHEN 'picked' THEN {time:s.heartbeat} + interval '30 seconds' END AS due,
           s.status = 'picked' AS picked, {time:s.heartbeat} AS heartbeat,
           greatest(s.last_run, s.updated) > now() + interval '5 seconds' AS from_ahead
    FROM {schedules} AS s LEFT JOIN unnest($1::text[], $2::text[]) AS d(expression, entrypoint) USING (expression, entrypoint)
    WHERE d.entrypoint IS NOT NULL OR (s.status = 'queued' AND s.next_run < now() - interval '1 minute')
) AS seen ON true";

pub(super) const ADD: &str = "
INSERT INTO {schedules} (expression, entrypoint, next_run)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (expression, entrypoint) DO NOTHING";

/// Of the hosts and workers that see a tick, the one that locks the row first makes it a job; to the others the row is not due any
/// more: `next_run` is not what they saw, or still locked.
pub(super) const FIRE: &str = "
WITH tick AS (
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::text[]) AS t(id, seen, next, headers)
), due AS MATERIALIZED (
    SELECT s.id, tick.next, tick.headers
    FROM {schedules} AS s JOIN tick ON tick.id = s.id AND tick.seen = {time:s.next_run}
    WHERE (s.status = 'queued' AND s.next_run <= now()) OR (s.status = 'picked' AND s.heartbeat <= now() - interval '30 seconds')
    ORDER BY s.id
    FOR UPDATE OF s SKIP LOCKED
), moved AS (
    UPDATE {schedules} AS s
    SET status = 'queued', next_run = due.next, last_run = now(), updated = now(), heartbeat = now()
    FROM due WHERE s.id = due.id
    RETURNING s.entrypoint, due.headers
), new AS (
    INSERT INTO {queue} (priority, entrypoint, headers, status)
    SELECT 0, entrypoint, headers::jsonb, 'queued'::{status} FROM moved
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::{status}, priority, entrypoint FROM new
)
SELECT id::bigint AS id, entrypoint FROM new";

/// After the server's clock went back. The row is as it was seen, and was last written at a time that is still to come: so its next tick was
/// reckoned from that time, too, and not put off by an operator.
pub(super) const MOVE_BACK: &str = "
UPDATE {schedules} AS s SET next_run = back.next, updated = now()
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS back(id, seen, next)
WHERE s.id = back.id AND s.next_run = back.seen AND s.status = 'queued'
  AND greatest(s.last_run, s.updated) > now() + interval '5 seconds'";

/// What names a schedule, to every worker on the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleKey {
    /// As stored.
    pub expression: String,
    /// Whose jobs.
    pub entrypoint: String,
}

/// A row.
#[derive(Debug, Clone)]
pub struct ScheduleRow {
    /// Of the row.
    pub id: i64,
    /// Which.
    pub key: ScheduleKey,
    /// One of those that were asked for; the others are overdue.
    pub declared: bool,
    /// As it is now.
    pub next_run: DateTime<Utc>,
    /// When somebody may take it as it stands; `None` is never.
    pub due: Option<DateTime<Utc>>,
    /// A Python worker runs it now.
    pub picked: bool,
    /// It was last written at a time that is still to come: the server's clock went back.
    pub from_ahead: bool,
    /// When it was due, or, where a Python worker died running it, when that was last heard of.
    pub scheduled_for: DateTime<Utc>,
}

/// A tick that is to become a job.
#[derive(Debug)]
pub struct Tick<'a> {
    /// What is due.
    pub row: &'a ScheduleRow,
    /// When it is due after that.
    pub next: DateTime<Utc>,
}

/// A tick that became a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// The job.
    pub id: JobId,
    /// Of this entrypoint.
    pub entrypoint: String,
}

impl Queue {
    /// The rows of these schedules, the overdue ones of nobody, and the database's time.
    pub async fn schedules(&self, keys: &[ScheduleKey]) -> sqlx::Result<(DateTime<Utc>, Vec<ScheduleRow>)> {
        let (expressions, entrypoints) = columns(keys);
        let rows = sqlx::query(self.sql.look_at_schedules.clone()).bind(expressions).bind(entrypoints).fetch_all(&self.pool).await?;
        let now = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get("now")?;
        let mut schedules = Vec::with_capacity(rows.len());
        for row in rows {
            // The clock comes with a row of nothing where there is no schedule.
            let Some(id) = row.try_get::<Option<i64>, _>("id")? else { continue };
            let picked = row.try_get::<Option<bool>, _>("picked")?.unwrap_or_default();
            schedules.push(ScheduleRow {
                id,
                key: ScheduleKey { expression: text(&row, "expression")?, entrypoint: text(&row, "entrypoint")? },
                declared: row.try_get("declared")?,
                next_run: row.try_get("next_run")?,
                due: row.try_get("due")?,
                picked,
                from_ahead: row.try_get::<Option<bool>, _>("from_ahead")?.unwrap_or_default(),
                scheduled_for: row.try_get(if picked { "heartbeat" } else { "next_run" })?,
            });
        }
        Ok((now, schedules))
    }

    /// Add rows for schedules that have none, due next at these times.
    pub async fn add_schedules(&self, new: &[(ScheduleKey, DateTime<Utc>)]) -> sqlx::Result<()> {
        let (keys, times): (Vec<ScheduleKey>, Vec<DateTime<Utc>>) = new.iter().cloned().unzip();
        let (expressions, entrypoints) = columns(&keys);
        sqlx::query(self.sql.add_schedules.clone()).bind(expressions).bind(entrypoints).bind(times).execute(&self.pool).await?;
        Ok(())
    }

    /// Move the next tick of these schedules back to these times, after the server's clock was ahead. Returns how many were still as seen.
    pub async fn move_back(&self, ticks: &[Tick<'_>]) -> sqlx::Result<u64> {
        let ids: Vec<i64> = ticks.iter().map(|tick| tick.row.id).collect();
        let seen: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.row.next_run).collect();
        let next: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.next).collect();
        let moving = sqlx::query(self.sql.move_back.clone()).bind(ids).bind(seen).bind(next);
        Ok(moving.execute(&self.pool).await?.rows_affected())
    }

    /// Enqueue a job for each of these ticks that nobody else was faster with, and move its schedule on, all in one statement.
    pub async fn fire(&self, ticks: &[Tick<'_>]) -> sqlx::Result<Vec<Fired>> {
        let ids: Vec<i64> = ticks.iter().map(|tick| tick.row.id).collect();
        let seen: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.row.next_run).collect();
        let next: Vec<DateTime<Utc>> = ticks.iter().map(|tick| tick.next).collect();
        let headers: Vec<String> = ticks.iter().map(|tick| headers(tick.row)).collect();
        let rows = sqlx::query(self.sql.fire.clone()).bind(ids).bind(seen).bind(next).bind(headers).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(Fired { id: row.try_get("id")?, entrypoint: text(row, "entrypoint")? })).collect()
    }
}

fn columns(keys: &[ScheduleKey]) -> (Vec<&str>, Vec<&str>) {
    keys.iter().map(|key| (key.expression.as_str(), key.entrypoint.as_str())).unzip()
}

/// What the job knows of its tick.
fn headers(row: &ScheduleRow) -> String {
    let scheduled_for = row.scheduled_for.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    json!({ "pgq_schedule": { "expression": row.key.expression, "scheduled_for": scheduled_for } }).to_string()
}

//! What runs printed, as far as it is kept.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::statements;
use crate::lines::unpack;
use crate::text::text;
use crate::{KeptLine, Operator};
use pgq_job::JobId;

const WITHIN: Duration = Duration::from_secs(5);
/// Rows that are read for the lines of one entrypoint.
const MOST_ROWS: i64 = 10_000;
/// Rows get their keys before they are committed: one may appear so long after others with higher
/// keys.
const LATE: TimeDelta = TimeDelta::seconds(60);

/// What one run printed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct RunLines {
    #[serde(skip)]
    key: i64,
    #[schema(value_type = i64)]
    pub job_id: JobId,
    pub entrypoint: String,
    pub attempt: i32,
    /// When the outcome was recorded.
    pub ended: DateTime<Utc>,
    pub failed: bool,
    /// Bytes that came before these lines.
    pub cut: i64,
    /// The last lines; `None`: the row is not what a host of this version writes.
    pub lines: Option<Vec<KeptLine>>,
}

impl FromRow<'_, PgRow> for RunLines {
    fn from_row(row: &PgRow) -> sqlx::Result<RunLines> {
        Ok(RunLines {
            key: row.try_get("id")?,
            job_id: row.try_get("job_id")?,
            entrypoint: text(row, "entrypoint")?,
            attempt: row.try_get("attempt")?,
            ended: row.try_get("at")?,
            failed: row.try_get("failed")?,
            cut: row.try_get("cut")?,
            lines: unpack(&row.try_get::<Vec<u8>, _>("lines")?),
        })
    }
}

/// Follows what runs print, in the order in which their outcomes are recorded.
#[derive(Debug)]
pub struct LinesFollower {
    operator: Operator,
    entrypoint: Option<String>,
    /// Everything up to this key is told, or never comes.
    told: i64,
    /// Told beyond that, and when it was recorded.
    seen: HashSet<(i64, DateTime<Utc>)>,
}

impl Operator {
    /// Whether the database has a place for what runs print.
    pub async fn keeps_lines(&self) -> sqlx::Result<bool> {
        Ok(self.features().await?.lines)
    }

    /// What the last runs of this job printed, the oldest first.
    pub async fn lines_of_job(&self, id: JobId, runs: i64) -> sqlx::Result<Vec<RunLines>> {
        if !self.keeps_lines().await? {
            return Ok(Vec::new());
        }
        let lines = sqlx::query_as(self.sql(statements::JOB_LINES)).persistent(false).bind(id).bind(runs);
        self.read_lines(lines).await
    }

    /// What the last runs of this entrypoint, or of all, printed, the oldest first, of those among
    /// the last 10,000 of the queue. And what follows.
    pub async fn lines(&self, entrypoint: Option<String>, runs: i64) -> sqlx::Result<(Vec<RunLines>, LinesFollower)> {
        let last = sqlx::query_as(self.sql(statements::LAST_LINES)).persistent(false);
        let newest = last.bind(1_i64).bind(None::<String>).bind(1_i64);
        let told = self.read_lines(newest).await?.last().map_or(0, |run| run.key);
        let last = sqlx::query_as(self.sql(statements::LAST_LINES)).persistent(false);
        let found = self.read_lines(last.bind(MOST_ROWS).bind(entrypoint.clone()).bind(runs)).await?;
        // Between the two, some may have come.
        let seen = found.iter().filter(|run| run.key > told).map(|run| (run.key, run.ended)).collect();
        Ok((found, LinesFollower { operator: self.clone(), entrypoint, told, seen }))
    }

    async fn read_lines(
        &self,
        query: sqlx::query::QueryAs<'static, sqlx::Postgres, RunLines, sqlx::postgres::PgArguments>,
    ) -> sqlx::Result<Vec<RunLines>> {
        let mut runs: Vec<RunLines> =
            self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await?;
        runs.sort_by_key(|run| run.key);
        Ok(runs)
    }
}

impl LinesFollower {
    /// What has come since.
    pub async fn next(&mut self) -> sqlx::Result<Vec<RunLines>> {
        let seen: Vec<i64> = self.seen.iter().map(|(key, _)| *key).collect();
        let query = sqlx::query_as(self.operator.sql(statements::NEW_LINES)).persistent(false);
        let query = query.bind(self.told).bind(MOST_ROWS).bind(self.entrypoint.clone()).bind(seen);
        let new = self.operator.read_lines(query).await?;
        self.seen.extend(new.iter().map(|run| (run.key, run.ended)));
        let newest = self.seen.iter().map(|(_, ended)| *ended).max();
        if let Some(settled) = newest.and_then(|newest| newest.checked_sub_signed(LATE)) {
            let told = self.seen.iter().filter(|(_, ended)| *ended < settled).map(|(key, _)| *key).max();
            self.told = told.unwrap_or(self.told).max(self.told);
            self.seen.retain(|(key, _)| *key > self.told);
        }
        Ok(new)
    }
}

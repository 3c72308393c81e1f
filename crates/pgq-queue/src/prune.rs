//! Removing old rows, a batch at a time: which rows may go is judged first, by a statement that
//! changes nothing, and then they are removed by their keys.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{FromRow, Row as _, SqlStr};
use uuid::Uuid;

use super::millis::millis;
use super::retention::{PrunedTable, Walk};
use super::statements::Statements;
use super::text::optional_text;
use super::{Pool, Queue, SchemaFeatures};
use crate::names::Names;

/// A turn is kept by asking for it again; whoever is silent for this long has lost it.
const TURN: Duration = Duration::from_secs(30);
/// No batch takes longer, and none waits for a lock. Less than what counts as a slow answer of the
/// database, so that a slow batch keeps no host from judging leases.
const LIMITS: &str = "SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '100ms'";
/// Attempts in a block of the table, about.
const ATTEMPTS_PER_BLOCK: i64 = 64;

/// Whoever prunes: a host, or a command.
#[derive(Debug, Clone)]
pub struct Pruner {
    pool: Pool,
    sql: Arc<Statements>,
    me: Uuid,
}

/// What became of asking for the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct PruneTurn {
    pub is_mine: bool,
    /// Milliseconds since all walks came to their ends; `None` where that never was.
    pub ended_ms: Option<i64>,
    /// Whether jobs have been due for longer than a second.
    pub is_busy: bool,
}

/// Rows of one entrypoint and outcome that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// `None` where the table does not say.
    pub entrypoint: Option<String>,
    pub outcome: Option<String>,
    pub rows: u64,
    pub oldest: Option<DateTime<Utc>>,
    ids: Vec<i64>,
}

/// What is ahead of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub doomed: Vec<Doomed>,
    /// Rows of the log that are old enough and not counted into the statistics.
    pub uncounted: u64,
    /// Where the walk goes on.
    pub next: i64,
    /// Whether nothing that is old enough is behind that.
    pub is_end: bool,
    /// Up to which block, for a table without a key.
    block: i64,
}

impl Judged {
    /// All rows that may go.
    pub fn rows(&self) -> u64 {
        self.doomed.iter().map(|doomed| doomed.rows).sum()
    }
}

impl Queue {
    /// This worker as one that prunes; `None` on a database that cannot keep a walk's position.
    pub fn pruner(&self) -> Option<Pruner> {
        let pruner = || Pruner { pool: self.pool.clone(), sql: Arc::clone(&self.sql), me: self.me };
        self.sql.features.retention.then(pruner)
    }
}

impl Pruner {
    /// Of a command.
    pub fn new(pool: impl Into<Pool>, names: &Names) -> Pruner {
        let sql = Statements::render(names, SchemaFeatures::ALL);
        Pruner { pool: pool.into(), sql: Arc::new(sql), me: Uuid::new_v4() }
    }

    /// Take the turn, or keep it.
    pub async fn turn(&self) -> sqlx::Result<PruneTurn> {
        // So that there is a row to have.
        self.one(bind(&self.sql.begin_walk).bind("turn").bind(millis(Duration::MAX))).await?;
        let row = self.one(bind(&self.sql.prune_turn).bind(self.me).bind(millis(TURN))).await?;
        PruneTurn::from_row(&row)
    }

    /// Give it back.
    pub async fn end_turn(&self, complete: bool) -> sqlx::Result<()> {
        self.one(bind(&self.sql.end_prune_turn).bind(self.me).bind(complete)).await.map(drop)
    }

    /// Where the walk goes on.
    pub async fn begin(&self, walk: &Walk) -> sqlx::Result<i64> {
        self.one(bind(&self.sql.begin_walk).bind(walk.key.clone()).bind(walk.round_ms())).await?.try_get(0)
    }

    /// Where the walk would go on. Changes nothing.
    pub async fn position(&self, walk: &Walk) -> sqlx::Result<i64> {
        self.one(bind(&self.sql.walk_position).bind(walk.key.clone()).bind(walk.round_ms())).await?.try_get(0)
    }

    /// Which of the next rows may go. Changes nothing.
    pub async fn judge(&self, walk: &Walk, from: i64, rows: usize) -> sqlx::Result<Judged> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let by_entrypoint = |sql| {
            let entrypoints: Vec<Option<String>> = owned(walk.entrypoints());
            bind(sql).bind(from).bind(rows).bind(millis(walk.age)).bind(entrypoints)
        };
        match walk.table {
            PrunedTable::Attempts => {
                let blocks = (rows / ATTEMPTS_PER_BLOCK).max(1);
                let query = bind(&self.sql.judge_attempts).bind(from).bind(blocks).bind(millis(walk.age));
                Judged::attempts(&self.one(query).await?)
            }
            PrunedTable::Log => {
                let query = by_entrypoint(&self.sql.judge_log).bind(owned(walk.outcomes())).bind(walk.ages_ms());
                Judged::rows_of(&self.all(query).await?)
            }
            PrunedTable::Output => {
                Judged::rows_of(&self.all(by_entrypoint(&self.sql.judge_outputs).bind(walk.ages_ms())).await?)
            }
            PrunedTable::Statistics => {
                Judged::rows_of(&self.all(by_entrypoint(&self.sql.judge_statistics).bind(walk.ages_ms())).await?)
            }
        }
    }

    /// Remove what was judged, and move on. Returns how many rows are gone; `None` if somebody else
    /// has moved the walk, and nothing is.
    pub async fn remove(&self, walk: &Walk, from: i64, judged: &Judged) -> sqlx::Result<Option<u64>> {
        let ids = || judged.doomed.iter().flat_map(|doomed| doomed.ids.iter().copied()).collect::<Vec<i64>>();
        let by_id = |sql| bind(sql).bind(walk.key.clone()).bind(from).bind(judged.next).bind(ids());
        let query = match walk.table {
            PrunedTable::Log => by_id(&self.sql.prune_log),
            PrunedTable::Output => by_id(&self.sql.prune_outputs),
            PrunedTable::Statistics => by_id(&self.sql.prune_statistics),
            PrunedTable::Attempts => {
                let range = bind(&self.sql.prune_attempts).bind(walk.key.clone()).bind(from).bind(judged.block);
                range.bind(judged.next).bind(millis(walk.age))
            }
        };
        let row = self.one(query).await?;
        Ok(if row.try_get("moved")? { Some(unsigned(row.try_get("removed")?)) } else { None })
    }

    async fn one(&self, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<PgRow> {
        self.all(query).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)
    }

    async fn all(&self, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<Vec<PgRow>> {
        self.pool
            .transaction(move |transaction| {
                Box::pin(async move {
                    sqlx::raw_sql(LIMITS).execute(&mut *transaction).await?;
                    query.fetch_all(transaction).await
                })
            })
            .await
    }
}

impl Judged {
    /// A row for each entrypoint and outcome, or one without.
    fn rows_of(rows: &[PgRow]) -> sqlx::Result<Judged> {
        let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let mut judged = Judged {
            doomed: Vec::new(),
            uncounted: unsigned(first.try_get("uncounted")?),
            next: first.try_get("next")?,
            is_end: first.try_get("is_end")?,
            block: 0,
        };
        for row in rows {
            let Some(ids) = row.try_get::<Option<Vec<i64>>, _>("ids")? else { continue };
            judged.doomed.push(Doomed {
                entrypoint: optional_text(row, "entrypoint")?,
                outcome: optional_text(row, "outcome")?,
                rows: ids.len() as u64,
                oldest: row.try_get("oldest")?,
                ids,
            });
        }
        Ok(judged)
    }

    fn attempts(row: &PgRow) -> sqlx::Result<Judged> {
        let (block, is_end, rows): (i64, bool, i64) =
            (row.try_get("next")?, row.try_get("is_end")?, row.try_get("rows")?);
        let old = Doomed {
            entrypoint: None,
            outcome: None,
            rows: unsigned(rows),
            oldest: row.try_get("oldest")?,
            ids: Vec::new(),
        };
        let doomed = Some(old).filter(|old| old.rows > 0).into_iter().collect();
        // The next walk begins at the front.
        Ok(Judged { doomed, uncounted: 0, next: if is_end { 0 } else { block }, is_end, block })
    }
}

fn bind(sql: &SqlStr) -> Query<'static, Postgres, PgArguments> {
    // A prepared statement would stay behind in a session that a pooler lent.
    sqlx::query(sql.clone()).persistent(false)
}

fn owned(texts: Vec<Option<&str>>) -> Vec<Option<String>> {
    texts.into_iter().map(|text| text.map(str::to_owned)).collect()
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

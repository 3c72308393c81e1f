//! Counting why runs failed. Hosts fold what is new in the log's index of failures into one row for
//! each cause, one host at a time, so that whoever looks reads neither the log nor its tracebacks.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Executor as _, FromRow as _, Row as _};

use super::look::{BY_INDEX, Failure, FailureGroup, FailureGroups};
use super::millis::millis;
use super::{Queue, Record};

/// Failures of one statement.
const BATCH: i64 = 1_000;
/// A row of the log bears the time at which it was written, and is seen once its transaction ends.
const SETTLED: TimeDelta = TimeDelta::seconds(10);
/// Older failures are not counted when counting begins.
const FIRST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Causes that did not occur for longer are forgotten.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
const MOST: i64 = 10_000;

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Failed runs.
    pub failures: usize,
    /// Whether there may be more.
    pub more: bool,
}

impl Queue {
    /// Whether the database has a place for it.
    pub fn counts_causes(&self) -> bool {
        self.sql.features.causes && self.sql.features.retention
    }

    /// Resolves when this worker has recorded a failure since the last call.
    pub async fn failed(&self) {
        self.failed.notified().await;
    }

    /// These outcomes were recorded.
    pub(super) fn tell_failures(&self, records: &[&Record]) {
        if records.iter().any(|record| record.disposition.has_traceback()) {
            self.failed.notify_one();
        }
    }

    /// Count the next failures. `None`: another host does.
    pub async fn fold_causes(&self) -> sqlx::Result<Option<Folded>> {
        let (sql, charset) = (std::sync::Arc::clone(&self.sql), self.charset);
        self.pool
            .transaction(move |transaction| {
                Box::pin(async move {
                    transaction.execute(BY_INDEX).await?;
                    let turn = sqlx::query(sql.fold_from.clone()).persistent(false).bind(millis(FIRST));
                    let Some(turn) = turn.fetch_optional(&mut *transaction).await? else { return Ok(None) };
                    let (from, id): (DateTime<Utc>, i64) = (turn.try_get("walked")?, turn.try_get("position")?);
                    let to = turn.try_get::<DateTime<Utc>, _>("now")? - SETTLED;
                    if to <= from {
                        return Ok(Some(Folded { failures: 0, more: false }));
                    }
                    let new = sqlx::query(sql.new_failures.clone()).persistent(false);
                    let rows = new.bind(from).bind(id).bind(to).bind(BATCH).fetch_all(&mut *transaction).await?;
                    let more = i64::try_from(rows.len()).is_ok_and(|rows| rows == BATCH);
                    if !rows.is_empty() {
                        let failures = rows.iter().map(Failure::from_row).collect::<sqlx::Result<Vec<Failure>>>()?;
                        let keys: Vec<String> = failures.iter().map(Failure::key).collect();
                        let known = sqlx::query_as(sql.known_causes.clone()).persistent(false).bind(keys);
                        let mut groups = FailureGroups::of(known.fetch_all(&mut *transaction).await?);
                        failures.into_iter().for_each(|failure| groups.add(failure));
                        let groups: Vec<FailureGroup> = groups.0.into_values().collect();
                        let fit = |text: &str| charset.fit(text).into_owned();
                        let texts = |of: fn(&FailureGroup) -> &str| -> Vec<String> {
                            groups.iter().map(|group| fit(of(group))).collect()
                        };
                        let json = |group: &FailureGroup| {
                            charset.json(&serde_json::to_value(&group.versions).unwrap_or_default()).to_string()
                        };
                        sqlx::query(sql.fold_causes.clone())
                            .persistent(false)
                            .bind(texts(|group| &group.key))
                            .bind(texts(|group| &group.cause.entrypoint))
                            .bind(texts(|group| &group.cause.exception_type))
                            .bind(texts(|group| &group.cause.message))
                            .bind(groups.iter().map(|group| group.cause.frame.as_deref().map(fit)).collect::<Vec<_>>())
                            .bind(texts(|group| &group.last_message))
                            .bind(groups.iter().map(|group| group.failures).collect::<Vec<_>>())
                            .bind(groups.iter().map(|group| group.first_seen).collect::<Vec<_>>())
                            .bind(groups.iter().map(|group| group.last_seen).collect::<Vec<_>>())
                            .bind(groups.iter().map(array).collect::<Vec<_>>())
                            .bind(groups.iter().map(json).collect::<Vec<_>>())
                            .execute(&mut *transaction)
                            .await?;
                    }
                    let end = |row: &PgRow| Ok::<_, sqlx::Error>((row.try_get("at")?, row.try_get("id")?));
                    // Where there are no more, everything before this time is counted.
                    let (walked, position): (DateTime<Utc>, i64) = match rows.last() {
                        Some(last) if more => end(last)?,
                        _ => (to, i64::MIN),
                    };
                    let done = sqlx::query(sql.fold_to.clone()).persistent(false).bind(walked).bind(position);
                    done.execute(&mut *transaction).await?;
                    Ok(Some(Folded { failures: rows.len(), more }))
                })
            })
            .await
    }

    /// Forget causes that did not occur for a long time. Returns how many there were.
    pub async fn forget_causes(&self) -> sqlx::Result<u64> {
        let query = sqlx::query(self.sql.forget_causes.clone()).bind(millis(KEPT)).bind(MOST);
        Ok(query.execute(&self.pool).await?.rows_affected())
    }
}

/// As PostgreSQL writes an array.
fn array(group: &FailureGroup) -> String {
    let ids: Vec<String> = group.examples.iter().map(ToString::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

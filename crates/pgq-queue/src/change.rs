//! Changing jobs that do not run: when they are due, their payload, their priority.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::millis::millis;
use super::{AuditId, Operator};
use pgq_job::JobId;

/// Ids in one statement: many enough to be fast, few enough not to lock rows for long.
const BATCH: usize = 1_000;

/// What to change.
#[derive(Debug, Clone, Default)]
pub struct Change {
    pub due: Option<Due>,
    /// A payload, or that there is none.
    pub payload: Option<Option<Vec<u8>>>,
    pub priority: Option<i32>,
    /// Leave jobs alone that are due.
    pub only_deferred: bool,
    /// Change held jobs, too. They stay held.
    pub held_too: bool,
}

/// When a job is to be due.
#[derive(Debug, Clone, Copy)]
pub enum Due {
    At(DateTime<Utc>),
    /// By the database's clock.
    In(Duration),
}

impl Operator {
    /// Change these jobs, as far as they wait. Returns those that were changed.
    pub async fn change(&self, ids: &[JobId], change: &Change, audit: AuditId) -> sqlx::Result<Vec<JobId>> {
        let statuses = if change.held_too { &["queued", "failed"][..] } else { &["queued"] };
        let (at, wait) = match change.due {
            Some(Due::At(at)) => (Some(at), None),
            Some(Due::In(wait)) => (None, Some(millis(wait))),
            None => (None, None),
        };
        let (features, mut changed) = (self.features().await?, Vec::with_capacity(ids.len()));
        for batch in ids.chunks(BATCH) {
            let query = sqlx::query_scalar(self.sql_with(include_str!("sql/operator/change.sql"), features))
                .bind(batch.to_vec())
                .bind(statuses.iter().map(|status| (*status).to_owned()).collect::<Vec<_>>())
                .bind(change.only_deferred)
                .bind(at)
                .bind(wait)
                .bind(change.payload.is_some())
                .bind(change.payload.clone().flatten())
                .bind(change.priority)
                .bind(audit.0);
            let rows: Vec<JobId> = query.fetch_all(&self.pool.for_large()).await?;
            changed.extend(rows);
        }
        Ok(changed)
    }
}

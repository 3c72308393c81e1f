//! Cancelling jobs as PgQueuer does: delete the row, log it, and notify the worker that runs the
//! job.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;

use super::{AuditId, Operator, SchemaFeatures};
use pgq_job::JobId;

/// Ids in one notification. PostgreSQL takes 8,000 bytes, and an id has up to 19 digits.
const BATCH: usize = 300;

const DEADLOCK: &str = "40P01";
const TRIES: usize = 10;

/// PgQueuer's `cancellation_event`, with the keys that its reader wants.
#[derive(Debug, Serialize)]
struct CancellationEvent<'a> {
    channel: &'a str,
    sent_at: DateTime<Utc>,
    r#type: &'static str,
    received_at: DateTime<Utc>,
    ids: &'a [JobId],
}

/// What became of one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Cancel {
    #[schema(value_type = i64)]
    pub id: JobId,
    #[serde(flatten)]
    pub outcome: CancelOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CancelOutcome {
    Canceled {
        /// `queued`, `picked` (it was running, and its worker was told) or `failed` (it was held).
        was: String,
    },
    NotFound {
        /// The last status in the log.
        last_status: Option<String>,
    },
}

#[derive(FromRow)]
struct Answer {
    id: JobId,
    was: Option<String>,
    last_status: Option<String>,
}

impl Operator {
    /// Cancel these jobs; with `statuses`, those that have one of them. Returns the outcome of each,
    /// in the order asked for.
    pub async fn cancel(&self, ids: &[JobId], statuses: Option<&[&str]>, audit: AuditId) -> sqlx::Result<Vec<Cancel>> {
        let features = self.features().await?;
        let statuses: Option<Vec<String>> =
            statuses.map(|statuses| statuses.iter().map(|status| (*status).to_owned()).collect());
        let mut seen = HashSet::new();
        let asked: Vec<JobId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut report = Vec::with_capacity(asked.len());
        for batch in asked.chunks(BATCH) {
            let (channel, now) = (self.names().channel.as_str(), Utc::now());
            let event =
                CancellationEvent { channel, sent_at: now, r#type: "cancellation_event", received_at: now, ids: batch };
            let event = serde_json::to_string(&event).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let rows = self.cancel_batch(batch, &event, statuses.as_ref(), audit, features).await?;
            report.extend(rows.into_iter().map(|row| Cancel {
                id: row.id,
                outcome: match row.was {
                    Some(was) => CancelOutcome::Canceled { was },
                    None => CancelOutcome::NotFound { last_status: row.last_status },
                },
            }));
        }
        Ok(report)
    }

    /// Workers that record outcomes lock the same rows in another order, so that a deadlock is
    /// possible; it is retried.
    async fn cancel_batch(
        &self,
        ids: &[JobId],
        event: &str,
        statuses: Option<&Vec<String>>,
        audit: AuditId,
        features: SchemaFeatures,
    ) -> sqlx::Result<Vec<Answer>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let channel = self.names().channel.as_str();
            match sqlx::query_as(self.sql_with(include_str!("sql/operator/cancel.sql"), features))
                .bind(ids)
                .bind(channel)
                .bind(event)
                .bind(audit.0)
                .bind(statuses)
                .fetch_all(&self.pool)
                .await
            {
                Err(sqlx::Error::Database(error))
                    if error.code().is_some_and(|code| code == DEADLOCK) && tries < TRIES => {}
                done => return done,
            }
        }
    }
}

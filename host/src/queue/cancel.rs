//! Cancelling: the row goes, the log says so, and whoever runs the job hears of it. What PgQueuer's own cancellation does.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Operator;
use crate::job::JobId;

/// Row, log and notification are committed together. The notification names all ids that were asked for, as PgQueuer's does: a
/// worker that missed the first one still runs a job whose row is gone.
const CANCEL: &str = "
WITH doomed AS MATERIALIZED (
    SELECT id, status FROM {queue} WHERE id = ANY($1) ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM {queue} AS q USING doomed WHERE q.id = ANY (ARRAY[doomed.id])
    RETURNING q.id, q.priority, q.entrypoint, doomed.status
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'canceled'::{status}, priority, entrypoint FROM gone
), told AS MATERIALIZED (
    SELECT pg_notify($2, $3)
)
SELECT asked.id, gone.status::text AS was,
       CASE WHEN gone.id IS NULL THEN (
           SELECT l.status::text FROM {log} AS l WHERE l.job_id = asked.id ORDER BY l.created DESC, l.id DESC LIMIT 1
       ) END AS last_status
FROM told, unnest($1::bigint[]) WITH ORDINALITY AS asked(id, place) LEFT JOIN gone USING (id)
ORDER BY asked.place";

/// Ids in one notification, of which PostgreSQL takes 8,000 bytes: an id has up to 19 digits.
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cancel {
    /// Which job.
    pub id: JobId,
    /// What.
    #[serde(flatten)]
    pub outcome: CancelOutcome,
}

/// Whatever has a row can be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CancelOutcome {
    /// It is gone.
    Canceled {
        /// `queued`, `picked` (it was running, and its worker was told) or `failed` (it was held).
        was: String,
    },
    /// No row has this id.
    NotFound {
        /// The last that the log says of it.
        last_status: Option<String>,
    },
}

struct Answer {
    id: JobId,
    was: Option<String>,
    last_status: Option<String>,
}

impl FromRow<'_, PgRow> for Answer {
    fn from_row(row: &PgRow) -> sqlx::Result<Answer> {
        Ok(Answer { id: row.try_get("id")?, was: row.try_get("was")?, last_status: row.try_get("last_status")? })
    }
}

impl Operator {
    /// Cancel these jobs, and say of each what became of it, in the order asked for.
    pub async fn cancel(&self, ids: &[JobId]) -> sqlx::Result<Vec<Cancel>> {
        let mut seen = HashSet::new();
        let asked: Vec<JobId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut report = Vec::with_capacity(asked.len());
        for batch in asked.chunks(BATCH) {
            let (channel, now) = (self.names().channel.as_str(), Utc::now());
            let event = CancellationEvent { channel, sent_at: now, r#type: "cancellation_event", received_at: now, ids: batch };
            let event = serde_json::to_string(&event).map_err(|error| sqlx::Error::Encode(error.into()))?;
            let rows = self.cancel_batch(batch, &event).await?;
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

    /// Workers that record outcomes lock the same rows, in the order in which the runs ended.
    async fn cancel_batch(&self, ids: &[JobId], event: &str) -> sqlx::Result<Vec<Answer>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let channel = self.names().channel.as_str();
            match sqlx::query_as(self.sql(CANCEL)).bind(ids).bind(channel).bind(event).fetch_all(&self.pool).await {
                Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == DEADLOCK) && tries < TRIES => {}
                done => return done,
            }
        }
    }
}

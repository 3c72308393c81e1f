//! Enqueueing jobs, as PgQueuer does it: the row, and a `queued` row in the log.

use sqlx::Row as _;

use super::{Queue, millis};
use crate::job::{JobId, NewJob};

/// `{on_conflict}` is nothing or [`SKIP`]. Without headers the column holds JSON null, as in PgQueuer.
pub(super) const ENQUEUE: &str = "
WITH new AS (
    INSERT INTO {queue} (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT priority, entrypoint, payload, now() + delay_ms * interval '1 millisecond', dedupe_key,
           coalesce(headers, 'null')::jsonb, 'queued'::{status}
    FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[]) WITH ORDINALITY
         AS n(priority, entrypoint, payload, delay_ms, dedupe_key, headers, ord)
    ORDER BY ord{on_conflict}
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::{status}, priority, entrypoint FROM new
)
SELECT id::bigint FROM new ORDER BY id";

/// The predicate must be the one of the unique index.
pub(super) const SKIP: &str = "
    ON CONFLICT (dedupe_key) WHERE status = ANY (ARRAY['queued'::{status}, 'picked'::{status}]) AND dedupe_key IS NOT NULL DO NOTHING";

/// The job that has the key keeps everything but its priority, and gets no row in the log. `xmax` is 0 in a row that was inserted.
pub(super) const ENQUEUE_OR_UPDATE: &str = "
WITH placed AS (
    INSERT INTO {queue} AS job (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT priority, entrypoint, payload, now() + delay_ms * interval '1 millisecond', dedupe_key,
           coalesce(headers, 'null')::jsonb, 'queued'::{status}
    FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[])
         AS n(priority, entrypoint, payload, delay_ms, dedupe_key, headers)
    ON CONFLICT (dedupe_key) WHERE status = ANY (ARRAY['queued'::{status}, 'picked'::{status}]) AND dedupe_key IS NOT NULL
        DO UPDATE SET priority = greatest(job.priority, EXCLUDED.priority)
    RETURNING job.id, job.priority, job.entrypoint, job.xmax = 0 AS is_new
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::{status}, priority, entrypoint FROM placed WHERE is_new
)
SELECT id::bigint AS id, priority, is_new FROM placed";

/// What to do with a job whose dedupe key another queued or running job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Refuse all jobs of the call.
    #[default]
    Raise,
    /// Leave it out.
    Skip,
}

/// Why nothing was enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// Some dedupe key is taken.
    #[error("a queued or running job has the dedupe key already: {0}")]
    Duplicate(String),
    /// The database said no.
    #[error("the database refused the job")]
    Database(#[source] sqlx::Error),
}

/// What became of a job that may have met its like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The new job, or the one that has the key already.
    pub id: JobId,
    /// Its priority now.
    pub priority: i32,
    /// Whether it is the new one.
    pub is_new: bool,
}

impl Queue {
    /// Enqueue this job; where a queued or running one has its dedupe key, raise that one's priority to this one's instead, if it is
    /// lower.
    pub async fn enqueue_or_update_priority(&self, job: &NewJob) -> Result<Placed, EnqueueError> {
        let columns = Columns::of([job]);
        let row = sqlx::query(self.sql.enqueue_or_update.clone())
            .bind(columns.priority)
            .bind(columns.entrypoint)
            .bind(columns.payload)
            .bind(columns.delay_ms)
            .bind(columns.dedupe_key)
            .bind(columns.headers)
            .fetch_one(self.pool())
            .await
            .map_err(EnqueueError::Database)?;
        let placed = || Ok(Placed { id: row.try_get("id")?, priority: row.try_get("priority")?, is_new: row.try_get("is_new")? });
        placed().map_err(EnqueueError::Database)
    }

    /// Enqueue these jobs in one statement; returns the ids of those that were.
    pub async fn enqueue(&self, jobs: &[NewJob], on_conflict: OnConflict) -> Result<Vec<JobId>, EnqueueError> {
        let sql = match on_conflict {
            OnConflict::Raise => self.sql.enqueue.clone(),
            OnConflict::Skip => self.sql.enqueue_or_skip.clone(),
        };
        let columns = Columns::of(jobs);
        sqlx::query_scalar(sql)
            .bind(columns.priority)
            .bind(columns.entrypoint)
            .bind(columns.payload)
            .bind(columns.delay_ms)
            .bind(columns.dedupe_key)
            .bind(columns.headers)
            .fetch_all(self.pool())
            .await
            .map_err(|error| match &error {
                sqlx::Error::Database(database) if database.is_unique_violation() => {
                    let keys: Vec<&str> = jobs.iter().filter_map(|job| job.dedupe_key.as_deref()).collect();
                    EnqueueError::Duplicate(keys.join(", "))
                }
                _ => EnqueueError::Database(error),
            })
    }
}

/// New jobs, column by column, as `unnest` wants them.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) priority: Vec<i32>,
    pub(super) entrypoint: Vec<&'a str>,
    pub(super) payload: Vec<Option<&'a [u8]>>,
    pub(super) delay_ms: Vec<i64>,
    pub(super) dedupe_key: Vec<Option<&'a str>>,
    pub(super) headers: Vec<Option<String>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(jobs: impl IntoIterator<Item = &'a NewJob>) -> Columns<'a> {
        let mut columns = Columns::default();
        for job in jobs {
            columns.priority.push(job.priority);
            columns.entrypoint.push(&job.entrypoint);
            columns.payload.push(job.payload.as_deref());
            columns.delay_ms.push(millis(job.delay));
            columns.dedupe_key.push(job.dedupe_key.as_deref());
            columns.headers.push(job.headers.as_ref().map(|headers| serde_json::Value::Object(headers.clone()).to_string()));
        }
        columns
    }
}

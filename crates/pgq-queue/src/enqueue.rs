//! Enqueueing jobs as PgQueuer does: a row in the queue, and a row `queued` in the log.

use sqlx::Row as _;

use super::Queue;
use super::millis::millis;
use pgq_job::{JobId, NewJob};

/// What to do with a job whose dedupe key another queued or running job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Refuse all jobs of the call.
    #[default]
    Raise,
    Skip,
}

/// Why nothing was enqueued.
#[derive(Debug, thiserror::Error)]
pub enum EnqueueError {
    /// A dedupe key is taken.
    #[error("a queued or running job has the dedupe key already: {0}")]
    Duplicate(String),
    /// The database refused.
    #[error("the database refused the job")]
    Database(#[source] sqlx::Error),
}

/// What became of a job whose dedupe key may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The new job, or the job that has the key already.
    pub id: JobId,
    pub priority: i32,
    /// Whether the job was inserted.
    pub is_new: bool,
}

impl Queue {
    /// Enqueue this job. Where a queued or running job has its dedupe key, raise that job's
    /// priority to this one's instead.
    pub async fn enqueue_or_update_priority(&self, job: &NewJob) -> Result<Placed, EnqueueError> {
        let columns = Columns::of([job]);
        let row = sqlx::query(self.sql.enqueue_or_raise_priority.clone())
            .bind(columns.priority)
            .bind(columns.entrypoint)
            .bind(columns.payload)
            .bind(columns.delay_ms)
            .bind(columns.dedupe_key)
            .bind(columns.headers)
            .fetch_one(self.pool())
            .await
            .map_err(EnqueueError::Database)?;
        let placed = || {
            Ok(Placed { id: row.try_get("id")?, priority: row.try_get("priority")?, is_new: row.try_get("is_new")? })
        };
        placed().map_err(EnqueueError::Database)
    }

    /// Enqueue these jobs in one statement. Returns the ids of those that were inserted.
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

/// New jobs column by column, as `unnest` takes them.
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
            columns
                .headers
                .push(job.headers.as_ref().map(|headers| serde_json::Value::Object(headers.clone()).to_string()));
        }
        columns
    }
}

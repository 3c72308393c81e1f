//! The runs of one job, as hosts noted them, and which job's run enqueued it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::events::JobEvent;
use super::signer_look::SignerLook;
use super::statements;
use super::whereabouts::Whereabouts;
use crate::Operator;
use crate::text::optional_text;
use pgq_job::JobId;

/// Attempts that are read of one job, the newest.
const MOST_ATTEMPTS: i64 = 200;
/// How long they may be looked for. Their index tells only where they may be.
pub(super) const ATTEMPTS_WITHIN: Duration = Duration::from_secs(2);
/// An attempt has the time at which its transaction began, and that began before its log row was
/// written.
const BEFORE_LOG: TimeDelta = TimeDelta::minutes(10);

/// A run.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobAttempt {
    /// 1 for the first.
    pub attempt: i32,
    /// When its outcome was recorded.
    pub ended: DateTime<Utc>,
    pub elapsed_us: i64,
    /// The peak of its linear memory.
    pub memory_bytes: i64,
    /// Time on a processor. A host of an earlier release did not note it, nor what follows.
    pub cpu_us: Option<i64>,
    /// Bytes of outgoing requests and of their responses; `None`: there were no requests.
    pub sent_bytes: Option<i64>,
    pub received_bytes: Option<i64>,
    pub requests: Option<i32>,
    /// Whether it failed; `None` of a host of an earlier release.
    pub failed: Option<bool>,
    /// The jobs that it enqueued.
    #[schema(value_type = Vec<i64>)]
    pub follow_ups: Vec<JobId>,
    pub plugin: Option<String>,
    pub plugin_version: Option<String>,
    pub plugin_sha256: Option<String>,
    /// The keys that signed that version.
    pub plugin_signed_by: Vec<SignerLook>,
    /// The worker that ran it, if it was noted or its failure tells.
    pub queue_manager_id: Option<Uuid>,
    /// The machine and process of that worker, if it is still announced.
    pub host: Option<String>,
}

impl FromRow<'_, PgRow> for JobAttempt {
    fn from_row(row: &PgRow) -> sqlx::Result<JobAttempt> {
        Ok(JobAttempt {
            attempt: row.try_get("attempt")?,
            ended: row.try_get("ended")?,
            elapsed_us: row.try_get("elapsed_us")?,
            memory_bytes: row.try_get("memory_bytes")?,
            cpu_us: row.try_get("cpu_us")?,
            sent_bytes: row.try_get("sent_bytes")?,
            received_bytes: row.try_get("received_bytes")?,
            requests: row.try_get("requests")?,
            failed: row.try_get("failed")?,
            follow_ups: row.try_get::<Option<Vec<JobId>>, _>("follow_ups")?.unwrap_or_default(),
            plugin: optional_text(row, "plugin")?,
            plugin_version: optional_text(row, "plugin_version")?,
            plugin_sha256: optional_text(row, "plugin_sha256")?,
            plugin_signed_by: SignerLook::all(optional_text(row, "plugin_signed_by")?.as_deref()),
            queue_manager_id: row.try_get("host")?,
            host: None,
        })
    }
}

impl JobAttempt {
    /// With the worker that ran it: the first failure that was logged after it began tells.
    pub(super) fn located(mut self, events: &[JobEvent], hosts: &Whereabouts) -> JobAttempt {
        let failure = events.iter().find(|event| {
            event.at >= self.ended && event.context().is_some_and(|context| context["attempt"] == self.attempt)
        });
        let worker = failure.and_then(JobEvent::context).and_then(|context| context["queue_manager_id"].as_str());
        self.queue_manager_id = self.queue_manager_id.or_else(|| worker.and_then(|id| id.parse().ok()));
        self.host = self.queue_manager_id.and_then(|worker| hosts.name(worker));
        self
    }
}

impl Operator {
    /// The attempts of a job that was in the queue between these times, the oldest first.
    pub(super) async fn attempts_between(
        &self,
        id: JobId,
        first: DateTime<Utc>,
        last: DateTime<Utc>,
    ) -> sqlx::Result<Vec<JobAttempt>> {
        let features = self.features().await?;
        if !features.attempts {
            return Ok(Vec::new());
        }
        let attempts = sqlx::query_as(self.sql_with(statements::JOB_ATTEMPTS, features))
            .persistent(false)
            .bind(id)
            .bind(first.checked_sub_signed(BEFORE_LOG).unwrap_or(first))
            .bind(last)
            .bind(MOST_ATTEMPTS);
        let mut attempts: Vec<JobAttempt> = self
            .read(ATTEMPTS_WITHIN, |transaction| Box::pin(async move { attempts.fetch_all(transaction).await }))
            .await?;
        attempts.reverse();
        Ok(attempts)
    }

    /// The job whose run enqueued this one, which was created at this time.
    pub(super) async fn parent(&self, id: JobId, created: DateTime<Utc>) -> sqlx::Result<Option<JobId>> {
        if !self.features().await?.follow_ups {
            return Ok(None);
        }
        let parent = sqlx::query_scalar(self.sql(statements::JOB_PARENT)).persistent(false).bind(id).bind(created);
        self.read(ATTEMPTS_WITHIN, |transaction| Box::pin(async move { parent.fetch_optional(transaction).await }))
            .await
    }
}

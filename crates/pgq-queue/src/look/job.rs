//! One job, with everything that is known of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::content::Content;
use super::mask::Masks;
use super::lines::RunLines;
use super::statements;
use super::whereabouts::Whereabouts;
use crate::Operator;
use crate::sqlstate::was_cancelled;
use crate::text::{optional_text, text};
use pgq_job::{JobId, compact};

/// Log rows and attempts that are read of one job, the newest.
const MOST_EVENTS: i64 = 200;
/// Runs whose lines are read.
const MOST_PRINTED: i64 = 10;
/// How long the attempts may be looked for. Their index tells only where they may be.
const ATTEMPTS_WITHIN: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(5);
/// An attempt has the time at which its transaction began, and that began before its log row was
/// written.
const BEFORE_LOG: TimeDelta = TimeDelta::minutes(10);

/// What the queue, the log, the attempts and the outputs tell of one job.
#[derive(Debug, Clone, Serialize)]
pub struct JobReport {
    pub id: JobId,
    /// PgQueuer's label: of the row, or of the last log row of a job that has left the queue.
    pub status: String,
    pub entrypoint: String,
    /// `None`: it has left the queue.
    pub row: Option<JobRow>,
    /// The newest log rows, the oldest of them first.
    pub events: Vec<JobEvent>,
    /// Whether there are older ones.
    pub events_cut: bool,
    /// The newest runs that hosts noted, the oldest of them first.
    pub attempts: Vec<JobAttempt>,
    /// Why attempts may be missing here.
    pub attempts_unread: Option<String>,
    /// What the newest runs printed, as far as it is kept, the oldest of them first.
    pub printed: Vec<RunLines>,
    pub output: Option<JobOutput>,
}

/// A row of the queue.
#[derive(Debug, Clone, Serialize)]
pub struct JobRow {
    pub priority: i32,
    /// Failed runs.
    pub attempts: i32,
    pub created: DateTime<Utc>,
    pub updated: DateTime<Utc>,
    pub heartbeat: DateTime<Utc>,
    pub execute_after: DateTime<Utc>,
    pub dedupe_key: Option<String>,
    pub queue_manager_id: Option<Uuid>,
    /// The machine and process of that worker, if it is a host that announced itself.
    pub host: Option<String>,
    /// By when its run ends, if it began with its claim.
    pub deadline: Option<DateTime<Utc>>,
    /// The version that runs it, unless a canary has it.
    pub plugin_sha256: Option<String>,
    pub slot: Option<i64>,
    /// As stored; `None` beyond 256 KiB.
    pub headers: Option<Box<RawValue>>,
    pub headers_bytes: i64,
    /// The schedule whose tick it is.
    pub schedule: Option<Value>,
    /// `None`: the job has none.
    pub payload: Option<Content>,
}

/// A row of the log.
#[derive(Debug, Clone, Serialize)]
pub struct JobEvent {
    pub at: DateTime<Utc>,
    pub status: String,
    #[serde(skip)]
    entrypoint: String,
    /// As PgQueuer writes it: `exception_type`, `exception_message`, `traceback` and so on.
    pub traceback: Option<Value>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
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
    pub plugin: Option<String>,
    pub plugin_version: Option<String>,
    pub plugin_sha256: Option<String>,
    /// The worker that ran it, if it was noted or its failure tells.
    pub queue_manager_id: Option<Uuid>,
    /// The machine and process of that worker, if it is still announced.
    pub host: Option<String>,
}

/// What the job returned.
#[derive(Debug, Clone, Serialize)]
pub struct JobOutput {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub content: Content,
}

impl JobReport {
    fn masked(mut self, masks: &Masks) -> JobReport {
        let payload = self.row.as_mut().and_then(|row| row.payload.as_mut());
        let output = self.output.as_mut().map(|output| &mut output.content);
        payload.into_iter().chain(output).for_each(|content| masks.hide(&self.entrypoint, content));
        self
    }
}

impl Operator {
    /// Everything about one job, with at most so many bytes of its payload and of its output.
    /// `None`: neither the queue nor the log has it.
    pub async fn job(&self, id: JobId, bytes: i32) -> sqlx::Result<Option<JobReport>> {
        let hosts = Whereabouts(self.hosts_if_any().await?);
        let row = sqlx::query(self.sql(statements::JOB)).persistent(false).bind(id).bind(bytes);
        let events = sqlx::query_as(self.sql(statements::JOB_EVENTS));
        let events = events.persistent(false).bind(id).bind(MOST_EVENTS + 1);
        let output = sqlx::query(self.sql(statements::JOB_OUTPUT));
        let output = output.persistent(false).bind(id).bind(bytes);
        let (row, mut events, output) = self
            .read(WITHIN, |transaction| {
                Box::pin(async move {
                    let row = row.fetch_optional(&mut *transaction).await?;
                    let events: Vec<JobEvent> = events.fetch_all(&mut *transaction).await?;
                    Ok((row, events, output.fetch_optional(transaction).await?))
                })
            })
            .await?;
        let events_cut = i64::try_from(events.len()).is_ok_and(|read| read > MOST_EVENTS);
        events.truncate(usize::try_from(MOST_EVENTS).unwrap_or_default());
        events.reverse();
        let Some((status, entrypoint)) = (match (&row, events.last()) {
            (Some(row), _) => Some((row.try_get("status")?, text(row, "entrypoint")?)),
            (None, Some(last)) => Some((last.status.clone(), last.entrypoint.clone())),
            (None, None) => None,
        }) else {
            return Ok(None);
        };
        let row = row.map(|row| JobRow::read(&row, &status, &entrypoint, &hosts)).transpose()?;
        let (attempts, attempts_unread) = match self.attempts(id, row.as_ref(), &events).await {
            Ok(attempts) => (attempts.into_iter().map(|attempt| attempt.located(&events, &hosts)).collect(), None),
            Err(error) if was_cancelled(&error) => {
                (Vec::new(), Some(format!("they were not found within {ATTEMPTS_WITHIN:?}")))
            }
            Err(error) => return Err(error),
        };
        let output = output.map(|row| JobOutput::from_row(&row)).transpose()?;
        let printed = self.lines_of_job(id, MOST_PRINTED).await?;
        let report = JobReport {
            id,
            status,
            entrypoint,
            row,
            events,
            events_cut,
            attempts,
            attempts_unread,
            printed,
            output,
        };
        Ok(Some(report.masked(&self.masks)))
    }

    async fn attempts(&self, id: JobId, row: Option<&JobRow>, events: &[JobEvent]) -> sqlx::Result<Vec<JobAttempt>> {
        let features = self.features().await?;
        if !features.attempts {
            return Ok(Vec::new());
        }
        let times = || events.iter().map(|event| event.at).chain(row.iter().flat_map(|row| [row.created, row.updated]));
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(Vec::new()) };
        let attempts = sqlx::query_as(self.sql_with(statements::JOB_ATTEMPTS, features))
            .persistent(false)
            .bind(id)
            .bind(first.checked_sub_signed(BEFORE_LOG).unwrap_or(first))
            .bind(last)
            .bind(MOST_EVENTS);
        let mut attempts: Vec<JobAttempt> = self
            .read(ATTEMPTS_WITHIN, |transaction| Box::pin(async move { attempts.fetch_all(transaction).await }))
            .await?;
        attempts.reverse();
        Ok(attempts)
    }
}

impl JobRow {
    fn read(row: &PgRow, status: &str, entrypoint: &str, hosts: &Whereabouts) -> sqlx::Result<JobRow> {
        let headers = optional_text(row, "headers")?.and_then(|text| RawValue::from_string(compact(&text)).ok());
        let payload: Option<Vec<u8>> = row.try_get("payload")?;
        let bytes: Option<i64> = row.try_get("payload_bytes")?;
        let (worker, updated): (Option<Uuid>, _) = (row.try_get("queue_manager_id")?, row.try_get("updated")?);
        let runs_at = worker.filter(|_| status == "picked");
        let schedule = |headers: &RawValue| {
            let mut headers: Value = serde_json::from_str(headers.get()).ok()?;
            headers.get_mut("pgq_schedule").map(Value::take)
        };
        Ok(JobRow {
            priority: row.try_get("priority")?,
            attempts: row.try_get("attempts")?,
            created: row.try_get("created")?,
            updated,
            heartbeat: row.try_get("heartbeat")?,
            execute_after: row.try_get("execute_after")?,
            dedupe_key: optional_text(row, "dedupe_key")?,
            queue_manager_id: worker,
            host: worker.and_then(|worker| hosts.name(worker)),
            deadline: runs_at.and_then(|worker| hosts.deadline(worker, entrypoint, updated)),
            plugin_sha256: runs_at.and_then(|worker| hosts.sha256(worker, entrypoint)),
            slot: row.try_get("slot")?,
            schedule: headers.as_deref().and_then(schedule),
            headers,
            headers_bytes: row.try_get("headers_bytes")?,
            payload: payload.map(|first| Content::of(&first, bytes.unwrap_or_default())),
        })
    }
}

impl FromRow<'_, PgRow> for JobEvent {
    fn from_row(row: &PgRow) -> sqlx::Result<JobEvent> {
        let traceback = optional_text(row, "traceback")?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(JobEvent {
            at: row.try_get("at")?,
            status: row.try_get("status")?,
            entrypoint: text(row, "entrypoint")?,
            traceback,
        })
    }
}

impl JobEvent {
    /// What a host writes beside PgQueuer's keys.
    fn context(&self) -> Option<&Value> {
        self.traceback.as_ref()?.get("additional_context")
    }
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
            plugin: optional_text(row, "plugin")?,
            plugin_version: optional_text(row, "plugin_version")?,
            plugin_sha256: optional_text(row, "plugin_sha256")?,
            queue_manager_id: row.try_get("host")?,
            host: None,
        })
    }
}

impl JobAttempt {
    /// With the worker that ran it: the first failure that was logged after it began tells.
    fn located(mut self, events: &[JobEvent], hosts: &Whereabouts) -> JobAttempt {
        let failure = events.iter().find(|event| {
            event.at >= self.ended && event.context().is_some_and(|context| context["attempt"] == self.attempt)
        });
        let worker = failure.and_then(JobEvent::context).and_then(|context| context["queue_manager_id"].as_str());
        self.queue_manager_id = self.queue_manager_id.or_else(|| worker.and_then(|id| id.parse().ok()));
        self.host = self.queue_manager_id.and_then(|worker| hosts.name(worker));
        self
    }
}

impl FromRow<'_, PgRow> for JobOutput {
    fn from_row(row: &PgRow) -> sqlx::Result<JobOutput> {
        let first: Vec<u8> = row.try_get("output")?;
        Ok(JobOutput { at: row.try_get("at")?, content: Content::of(&first, row.try_get("bytes")?) })
    }
}

//! One job, with everything that is known of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::attempts::{ATTEMPTS_WITHIN, JobAttempt};
use super::content::Content;
use super::events::JobEvent;
use super::lines::RunLines;
use super::mask::Masks;
use super::statements;
use super::whereabouts::Whereabouts;
use crate::Operator;
use crate::sqlstate::was_cancelled;
use crate::text::{optional_text, text};
use pgq_job::{JobId, compact};

/// Log rows that are read of one job, the newest.
const MOST_EVENTS: i64 = 200;
/// Runs whose lines are read.
const MOST_PRINTED: i64 = 10;
const WITHIN: Duration = Duration::from_secs(5);
/// What the queue, the log, the attempts and the outputs tell of one job.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobReport {
    #[schema(value_type = i64)]
    pub id: JobId,
    /// PgQueuer's label: of the row, or of the last log row of a job that has left the queue.
    pub status: String,
    pub entrypoint: String,
    /// The job whose run enqueued it.
    #[schema(value_type = Option<i64>)]
    pub parent: Option<JobId>,
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
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
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
    #[schema(value_type = Option<serde_json::Value>)]
    pub headers: Option<Box<RawValue>>,
    pub headers_bytes: i64,
    /// The schedule whose tick it is.
    pub schedule: Option<Value>,
    /// `None`: the job has none.
    pub payload: Option<Content>,
}

/// What the job returned.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobOutput {
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub content: Content,
}

impl JobReport {
    /// Leave out what producers and handlers put into it: payload, headers, output and lines. Errors
    /// stay.
    pub fn hide_contents(&mut self) {
        self.printed.clear();
        self.output = None;
        if let Some(row) = &mut self.row {
            (row.payload, row.headers) = (None, None);
        }
    }

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
        let times = || events.iter().map(|event| event.at).chain(row.iter().flat_map(|row| [row.created, row.updated]));
        let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
        let (attempts, attempts_unread) = match self.attempts_between(id, first, last).await {
            Ok(attempts) => (attempts.into_iter().map(|attempt| attempt.located(&events, &hosts)).collect(), None),
            Err(error) if was_cancelled(&error) => {
                (Vec::new(), Some(format!("they were not found within {ATTEMPTS_WITHIN:?}")))
            }
            Err(error) => return Err(error),
        };
        let parent = match self.parent(id, row.as_ref().map_or(first, |row| row.created)).await {
            Err(error) if was_cancelled(&error) => None,
            found => found?,
        };
        let output = output.map(|row| JobOutput::from_row(&row)).transpose()?;
        let printed = self.lines_of_job(id, MOST_PRINTED).await?;
        let report = JobReport {
            id,
            status,
            entrypoint,
            parent,
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

impl FromRow<'_, PgRow> for JobOutput {
    fn from_row(row: &PgRow) -> sqlx::Result<JobOutput> {
        let first: Vec<u8> = row.try_get("output")?;
        Ok(JobOutput { at: row.try_get("at")?, content: Content::of(&first, row.try_get("bytes")?) })
    }
}

//! A page of jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::cause::Cause;
use super::cursor::Cursor;
use super::filter::{JobFilter, JobStatus, Way};
use super::statements;
use super::whereabouts::Whereabouts;
use crate::Operator;
use crate::millis::millis;
use crate::text::{optional_text, text};
use pgq_job::JobId;

/// A page takes at most this long.
const WITHIN: Duration = Duration::from_secs(5);

/// A page of all that match.
const MATCHING_JOBS: usize = 10_000;
const MATCHING_ROWS: usize = 50_000;
/// The same where the cause of each is worked out.
const MATCHING_CAUSES: usize = 1_000;

/// A job of a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobSummary {
    #[schema(value_type = i64)]
    pub id: JobId,
    pub status: String,
    pub entrypoint: String,
    pub priority: i32,
    /// Failed runs; of a job in the log, the number of the last run if its error tells.
    pub attempts: Option<i32>,
    /// When it was enqueued. The log does not tell.
    pub created: Option<DateTime<Utc>>,
    /// When it was claimed, put back or held; of a job in the log, when it ended.
    pub updated: DateTime<Utc>,
    /// When a queued job is due.
    pub execute_after: Option<DateTime<Utc>>,
    pub dedupe_key: Option<String>,
    /// The worker that runs it.
    pub queue_manager_id: Option<Uuid>,
    /// The worker's machine and process, if it is a host that announced itself.
    pub host: Option<String>,
    /// By when its run ends, if it began with its claim.
    pub deadline: Option<DateTime<Utc>>,
    /// The version that runs it, or in which it last failed.
    pub plugin_sha256: Option<String>,
    /// The whole last error.
    pub error: Option<String>,
    /// Its place in the log.
    #[serde(skip)]
    logged: Option<(DateTime<Utc>, i64)>,
    /// The key of the cause of its last failure, where that was asked for.
    #[serde(skip)]
    cause: Option<String>,
}

impl FromRow<'_, PgRow> for JobSummary {
    fn from_row(row: &PgRow) -> sqlx::Result<JobSummary> {
        let (at, id): (Option<DateTime<Utc>>, Option<i64>) = (row.try_get("log_created")?, row.try_get("log_id")?);
        Ok(JobSummary {
            id: row.try_get("id")?,
            status: row.try_get("status")?,
            entrypoint: text(row, "entrypoint")?,
            priority: row.try_get("priority")?,
            attempts: row.try_get("attempts")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
            execute_after: row.try_get("execute_after")?,
            dedupe_key: optional_text(row, "dedupe_key")?,
            queue_manager_id: row.try_get("queue_manager_id")?,
            host: None,
            deadline: None,
            plugin_sha256: optional_text(row, "plugin_sha256")?,
            error: optional_text(row, "error")?,
            logged: at.zip(id),
            cause: None,
        })
    }
}

/// Some of the jobs that a filter lets through.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct JobPage {
    pub jobs: Vec<JobSummary>,
    /// Where the next page begins; `None`: there are no more.
    #[schema(value_type = Option<String>)]
    pub next: Option<Cursor>,
}

/// How much of an index to read, and from where.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The id and the other value of the cursor.
    id: i64,
    at: DateTime<Utc>,
    priority: i32,
    rows: i64,
    limit: i64,
}

impl Bounds {
    fn new(way: Way, after: Option<Cursor>, rows: i64, limit: i64) -> Bounds {
        let (first, last) = (
            DateTime::UNIX_EPOCH - chrono::TimeDelta::days(719_162),
            DateTime::UNIX_EPOCH + chrono::TimeDelta::days(2_932_896),
        );
        let start = match way {
            Way::ById | Way::Held => (i64::MAX, last, i32::MAX),
            Way::Running => (i64::MAX, first, i32::MAX),
            Way::Waiting => (i64::MIN, last, i32::MAX),
            Way::Ended => (i64::MAX, last, i32::MAX),
        };
        let (id, at, priority) = match after {
            None => start,
            Some(Cursor::Id(id)) => (id, last, i32::MAX),
            Some(Cursor::Claimed { at, id } | Cursor::Logged { at, id }) => (id, at, i32::MAX),
            Some(Cursor::Waiting { priority, id }) => (id, last, priority),
        };
        Bounds { id, at, priority, rows, limit }
    }
}

impl Operator {
    /// A page of the jobs that the filter lets through, of at most `limit` jobs and `rows` rows
    /// that are read for it.
    pub async fn jobs(
        &self,
        filter: &JobFilter,
        after: Option<Cursor>,
        limit: usize,
        rows: usize,
    ) -> sqlx::Result<JobPage> {
        let way = filter.way();
        let bound = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let bounds = Bounds::new(way, after, bound(rows), bound(limit));
        let hosts = Whereabouts(self.hosts_if_any().await?);
        let (mut jobs, left) = self.page(way, filter, bounds, &hosts).await?;
        let next = if jobs.len() >= limit { jobs.last().map(|job| job.cursor(way)) } else { left };
        if filter.cause.is_some() {
            jobs.retain(|job| job.cause == filter.cause);
        }
        let located = |mut job: JobSummary| {
            if let Some(worker) = job.queue_manager_id {
                job.host = hosts.name(worker);
                if job.status == "picked" {
                    job.deadline = hosts.deadline(worker, &job.entrypoint, job.updated);
                    job.plugin_sha256 = hosts.sha256(worker, &job.entrypoint);
                }
            }
            job
        };
        Ok(JobPage { jobs: jobs.into_iter().map(located).collect(), next })
    }

    /// The ids of all jobs in the queue that the filter lets through, in reads of bounded size.
    pub async fn matching(&self, filter: &JobFilter) -> sqlx::Result<Vec<JobId>> {
        self.matching_up_to(filter, &JobStatus::ALL, usize::MAX).await.map(|(ids, _)| ids)
    }

    /// The same of jobs with one of these statuses, so many at most, and whether there are more.
    pub async fn matching_up_to(
        &self,
        filter: &JobFilter,
        statuses: &[JobStatus],
        most: usize,
    ) -> sqlx::Result<(Vec<JobId>, bool)> {
        let (mut ids, mut after) = (Vec::new(), None);
        let page = if filter.cause.is_some() { MATCHING_CAUSES } else { MATCHING_JOBS };
        loop {
            let page = self.jobs(filter, after, page, MATCHING_ROWS).await?;
            let wanted = |job: &&JobSummary| statuses.iter().any(|status| status.label() == job.status);
            ids.extend(page.jobs.iter().filter(wanted).map(|job| job.id));
            if ids.len() > most {
                ids.truncate(most);
                return Ok((ids, true));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((ids, false)),
            }
        }
    }

    /// The jobs; and where fewer are found than asked for, the last row that was looked at, if it
    /// was not the last one of all.
    async fn page(
        &self,
        way: Way,
        filter: &JobFilter,
        bounds: Bounds,
        hosts: &Whereabouts,
    ) -> sqlx::Result<(Vec<JobSummary>, Option<Cursor>)> {
        let (page, rest) = match way {
            Way::ById => (statements::JOBS_BY_ID, statements::JOBS_BY_ID_END),
            Way::Held => (statements::HELD_JOBS, statements::HELD_JOBS_END),
            Way::Running => (statements::JOBS_RUNNING, statements::JOBS_RUNNING_END),
            Way::Waiting => (statements::JOBS_WAITING, statements::JOBS_WAITING_END),
            Way::Ended => (statements::JOBS_ENDED, statements::JOBS_ENDED_END),
        };
        let page = sqlx::query(self.sql(page)).persistent(false).bind(bounds.id).bind(bounds.rows);
        let page = filtered(page, way, filter, bounds, hosts);
        let rest = sqlx::query(self.sql(rest)).persistent(false).bind(bounds.id).bind(bounds.rows);
        let rest = match way {
            Way::ById => rest,
            Way::Held => rest.bind(filter.entrypoint.clone()),
            Way::Running | Way::Ended => rest.bind(bounds.at),
            Way::Waiting => rest.bind(bounds.priority).bind(filter.entrypoint.clone()),
        };
        self.read(WITHIN, move |transaction| {
            Box::pin(async move {
                let rows = page.fetch_all(&mut *transaction).await?;
                let mut jobs = rows.iter().map(JobSummary::from_row).collect::<sqlx::Result<Vec<_>>>()?;
                if way == Way::Held {
                    jobs.iter_mut().zip(&rows).try_for_each(|(job, row)| job.read_cause(row))?;
                }
                let is_full = i64::try_from(jobs.len()).is_ok_and(|found| found >= bounds.limit);
                let end = if is_full { None } else { rest.fetch_optional(transaction).await? };
                let cursor = end.map(|row| {
                    let id = row.try_get("id")?;
                    Ok::<_, sqlx::Error>(match way {
                        Way::ById | Way::Held => Cursor::Id(id),
                        Way::Running => Cursor::Claimed { at: row.try_get("at")?, id },
                        Way::Waiting => Cursor::Waiting { priority: row.try_get("priority")?, id },
                        Way::Ended => Cursor::Logged { at: row.try_get("at")?, id },
                    })
                });
                Ok((jobs, cursor.transpose()?))
            })
        })
        .await
    }
}

/// With the parameters of the filter.
fn filtered(
    query: Query<'static, Postgres, PgArguments>,
    way: Way,
    filter: &JobFilter,
    bounds: Bounds,
    hosts: &Whereabouts,
) -> Query<'static, Postgres, PgArguments> {
    let query = query
        .bind(filter.statuses())
        .bind(filter.entrypoint.clone())
        .bind(filter.older.map(millis))
        .bind(filter.younger.map(millis))
        .bind(filter.error.clone());
    if way == Way::Ended {
        return query.bind(filter.plugin.clone()).bind(bounds.limit).bind(bounds.at);
    }
    let (name, value) = filter.header.clone().unzip();
    if way == Way::Held {
        let query = query.bind(name).bind(value.flatten()).bind(filter.plugin.clone());
        return query.bind(bounds.limit).bind(filter.cause.is_some());
    }
    let (workers, entrypoints) = filter.plugin.as_deref().map(|sha256| hosts.running(sha256)).unwrap_or_default();
    let query = query.bind(name).bind(value.flatten()).bind(filter.plugin.clone()).bind(workers).bind(entrypoints);
    let query = query.bind(bounds.limit);
    match way {
        Way::Running => query.bind(bounds.at),
        Way::Waiting => query.bind(bounds.priority),
        Way::ById | Way::Held | Way::Ended => query,
    }
}

impl JobSummary {
    fn read_cause(&mut self, row: &PgRow) -> sqlx::Result<()> {
        let part = |column| Ok::<_, sqlx::Error>(optional_text(row, column)?.unwrap_or_default());
        let cause = Cause::of(&self.entrypoint, &part("exception_type")?, &part("message")?, &part("traceback")?);
        self.cause = Some(cause.key());
        Ok(())
    }

    fn cursor(&self, way: Way) -> Cursor {
        match (way, self.logged) {
            (Way::Running, _) => Cursor::Claimed { at: self.updated, id: self.id },
            (Way::Waiting, _) => Cursor::Waiting { priority: self.priority, id: self.id },
            (Way::Ended, Some((at, id))) => Cursor::Logged { at, id },
            _ => Cursor::Id(self.id),
        }
    }
}

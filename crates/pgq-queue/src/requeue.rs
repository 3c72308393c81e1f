//! Putting held jobs back into the queue, each for itself: one that cannot be put back keeps no
//! other.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::text::optional_text;
use super::{AuditId, Operator, SchemaFeatures};
use pgq_job::JobId;

/// Ids in one statement: many enough to be fast, few enough not to lock rows for long.
const BATCH: usize = 1_000;
/// Between read and write, a producer can take the dedupe key or another operator the job. The next
/// try sees that.
const TRIES: usize = 10;

/// What became of one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Requeue {
    #[schema(value_type = i64)]
    pub id: JobId,
    #[serde(flatten)]
    pub outcome: RequeueOutcome,
}

/// Only a held job goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RequeueOutcome {
    /// It is queued again, as if it had never run.
    Requeued,
    /// The job is not held: it is queued or running.
    NotFailed { status: String },
    NotFound {
        /// The last status in the log.
        last_status: Option<String>,
    },
    /// Its dedupe key belongs to another job now.
    DedupeKeyTaken {
        dedupe_key: String,
        #[schema(value_type = i64)]
        taken_by: JobId,
    },
}

struct Answer {
    id: JobId,
    requeued: bool,
    held: bool,
    dedupe_key: Option<String>,
    taken_by: Option<JobId>,
    status: Option<String>,
    last_status: Option<String>,
}

impl FromRow<'_, PgRow> for Answer {
    fn from_row(row: &PgRow) -> sqlx::Result<Answer> {
        Ok(Answer {
            id: row.try_get("id")?,
            requeued: row.try_get("requeued")?,
            held: row.try_get("held")?,
            dedupe_key: optional_text(row, "dedupe_key")?,
            taken_by: row.try_get("taken_by")?,
            status: row.try_get("status")?,
            last_status: row.try_get("last_status")?,
        })
    }
}

impl Answer {
    /// `None`: the answer is out of date already.
    fn outcome(self) -> Option<RequeueOutcome> {
        match (self.requeued, self.taken_by, self.status) {
            (true, ..) => Some(RequeueOutcome::Requeued),
            (_, Some(taken_by), _) => {
                Some(RequeueOutcome::DedupeKeyTaken { dedupe_key: self.dedupe_key.unwrap_or_default(), taken_by })
            }
            (_, _, None) => Some(RequeueOutcome::NotFound { last_status: self.last_status }),
            // It was held when the statement began, and somebody else was faster.
            (_, _, Some(status)) if status == "failed" && !self.held => None,
            (_, _, Some(status)) => Some(RequeueOutcome::NotFailed { status }),
        }
    }
}

impl Operator {
    /// Put these jobs back. Returns the outcome of each, in the order asked for.
    pub async fn requeue(&self, ids: &[JobId], audit: AuditId) -> sqlx::Result<Vec<Requeue>> {
        let features = self.features().await?;
        let mut seen = HashSet::new();
        let asked: Vec<JobId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut report = Vec::with_capacity(asked.len());
        for batch in asked.chunks(BATCH) {
            report.extend(self.requeue_batch(batch, audit, features).await?);
        }
        Ok(report)
    }

    /// The ids of held jobs; with `entrypoints`, of these only.
    pub async fn held_ids(&self, entrypoints: Option<&[String]>) -> sqlx::Result<Vec<JobId>> {
        sqlx::query_scalar(self.sql(include_str!("sql/operator/held_ids.sql")))
            .bind(entrypoints)
            .fetch_all(&self.pool)
            .await
    }

    async fn requeue_batch(
        &self,
        ids: &[JobId],
        audit: AuditId,
        features: SchemaFeatures,
    ) -> sqlx::Result<Vec<Requeue>> {
        let mut report: Vec<Option<RequeueOutcome>> = vec![None; ids.len()];
        for attempt in 1..=TRIES {
            let open: Vec<usize> = (0..ids.len()).filter(|place| report[*place].is_none()).collect();
            let asked: Vec<JobId> = open.iter().map(|place| ids[*place]).collect();
            let rows: Vec<Answer> =
                match sqlx::query_as(self.sql_with(include_str!("sql/operator/requeue.sql"), features))
                    .bind(asked)
                    .bind(audit.0)
                    .fetch_all(&self.pool)
                    .await
                {
                    Ok(rows) => rows,
                    Err(sqlx::Error::Database(error)) if error.is_unique_violation() && attempt < TRIES => continue,
                    Err(error) => return Err(error),
                };
            for (place, row) in open.into_iter().zip(rows) {
                debug_assert_eq!(ids[place], row.id);
                report[place] = row.outcome();
            }
            if report.iter().all(Option::is_some) {
                break;
            }
        }
        // What changed ten times meanwhile is left to the others.
        let of = |outcome: Option<RequeueOutcome>| {
            outcome.unwrap_or(RequeueOutcome::NotFailed { status: "changing".into() })
        };
        Ok(ids.iter().zip(report).map(|(id, outcome)| Requeue { id: *id, outcome: of(outcome) }).collect())
    }
}

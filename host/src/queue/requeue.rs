//! Held jobs, back into the queue: each for itself, so that one that cannot go keeps no other back.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Operator;
use super::text::optional_text;
use crate::job::JobId;

/// A held job has given up its dedupe key. It goes back only if no queued or running job has the key by now, and no other job of
/// this very call. The seat of its last run goes too: PgQueuer's claim without a limit would keep it.
const REQUEUE: &str = "
WITH held AS MATERIALIZED (
    SELECT id, dedupe_key FROM {queue} WHERE id = ANY($1) AND status = 'failed' ORDER BY id FOR UPDATE
), judged AS MATERIALIZED (
    SELECT held.id, held.dedupe_key,
           coalesce(active.id, CASE WHEN held.dedupe_key IS NULL THEN NULL
                                    ELSE nullif(min(held.id) OVER (PARTITION BY held.dedupe_key), held.id) END) AS taken_by
    FROM held LEFT JOIN {queue} AS active
        ON active.dedupe_key = held.dedupe_key AND active.status = ANY (ARRAY['queued'::{status}, 'picked'::{status}])
), requeued AS (
    UPDATE {queue} AS q
    SET status = 'queued', execute_after = now(), updated = now(), attempts = 0, queue_manager_id = NULL, slot = NULL
    FROM judged WHERE q.id = ANY (ARRAY[judged.id]) AND judged.taken_by IS NULL
    RETURNING q.id, q.priority, q.entrypoint
), logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::{status}, priority, entrypoint FROM requeued
)
SELECT asked.id, requeued.id IS NOT NULL AS requeued, judged.id IS NOT NULL AS held, judged.dedupe_key,
       judged.taken_by::bigint AS taken_by, q.status::text AS status,
       CASE WHEN q.id IS NULL THEN (
           SELECT l.status::text FROM {log} AS l WHERE l.job_id = asked.id ORDER BY l.created DESC, l.id DESC LIMIT 1
       ) END AS last_status
FROM unnest($1::bigint[]) WITH ORDINALITY AS asked(id, place)
LEFT JOIN {queue} AS q USING (id) LEFT JOIN judged USING (id) LEFT JOIN requeued USING (id)
ORDER BY asked.place";

const HELD: &str = "
SELECT id::bigint FROM {queue} WHERE status = 'failed' AND ($1::text[] IS NULL OR entrypoint = ANY($1)) ORDER BY id";

/// Ids in one statement: enough for speed, few enough that the rows are not locked for long.
const BATCH: usize = 1_000;
/// A producer can take a key between the look and the write, and an operator's colleague a job; the next look sees it.
const TRIES: usize = 10;

/// What became of one id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Requeue {
    /// Which job.
    pub id: JobId,
    /// What.
    #[serde(flatten)]
    pub outcome: RequeueOutcome,
}

/// Only a held job goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RequeueOutcome {
    /// It is queued again, as if it had never run.
    Requeued,
    /// It is queued or running.
    NotFailed {
        /// Which of them.
        status: String,
    },
    /// No row has this id.
    NotFound {
        /// The last that the log says of it.
        last_status: Option<String>,
    },
    /// Its dedupe key belongs to another job now.
    DedupeKeyTaken {
        /// The key.
        dedupe_key: String,
        /// That job.
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
    /// `None` when the answer is out of date already.
    fn outcome(self) -> Option<RequeueOutcome> {
        match (self.requeued, self.taken_by, self.status) {
            (true, ..) => Some(RequeueOutcome::Requeued),
            (_, Some(taken_by), _) => Some(RequeueOutcome::DedupeKeyTaken { dedupe_key: self.dedupe_key.unwrap_or_default(), taken_by }),
            (_, _, None) => Some(RequeueOutcome::NotFound { last_status: self.last_status }),
            // It was held when the statement began, and somebody else was faster.
            (_, _, Some(status)) if status == "failed" && !self.held => None,
            (_, _, Some(status)) => Some(RequeueOutcome::NotFailed { status }),
        }
    }
}

impl Operator {
    /// Put these jobs back, and say of each what became of it, in the order asked for.
    pub async fn requeue(&self, ids: &[JobId]) -> sqlx::Result<Vec<Requeue>> {
        let mut seen = HashSet::new();
        let asked: Vec<JobId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut report = Vec::with_capacity(asked.len());
        for batch in asked.chunks(BATCH) {
            report.extend(self.requeue_batch(batch).await?);
        }
        Ok(report)
    }

    /// The ids of all held jobs, or of those of these entrypoints.
    pub async fn held_ids(&self, entrypoints: Option<&[String]>) -> sqlx::Result<Vec<JobId>> {
        sqlx::query_scalar(self.sql(HELD)).bind(entrypoints).fetch_all(&self.pool).await
    }

    async fn requeue_batch(&self, ids: &[JobId]) -> sqlx::Result<Vec<Requeue>> {
        let mut report: Vec<Option<RequeueOutcome>> = vec![None; ids.len()];
        for attempt in 1..=TRIES {
            let open: Vec<usize> = (0..ids.len()).filter(|place| report[*place].is_none()).collect();
            let asked: Vec<JobId> = open.iter().map(|place| ids[*place]).collect();
            let rows: Vec<Answer> = match sqlx::query_as(self.sql(REQUEUE)).bind(asked).fetch_all(&self.pool).await {
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
        // What changed hands ten times while we looked is in others' hands.
        let of = |outcome: Option<RequeueOutcome>| outcome.unwrap_or(RequeueOutcome::NotFailed { status: "changing".into() });
        Ok(ids.iter().zip(report).map(|(id, outcome)| Requeue { id: *id, outcome: of(outcome) }).collect())
    }
}

//! Claiming: taking jobs that are due, for entrypoints that this host serves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::{Queue, Remedy, sqlstate, suspect};
use crate::job::{Claim, Job, JobId};

/// The inner select is a CTE of its own because the planner may otherwise run it again, and claim more than its limit.
///
/// Here as in all statements, an order that one index has, and `= ANY (ARRAY[one])` for a join that only a look-up by key can make, leave the
/// planner one way: what it believes of the queue (that it is empty, most of the time) makes the wrong ones look free. (Going to the row
/// that was locked by its `ctid` would save a look-up, and leave out a row that changed between the statement's beginning and its lock, such as
/// one whose priority was raised: nobody would look for it again before the next poll.)
///
/// The lease begins when the row is written, not when the statement did: that may have waited for longer than a lease lasts.
const CLAIM: &str = "
WITH {due}, claimed AS (
    UPDATE {queue} AS q
    SET status = 'picked', updated = now(), heartbeat = clock_timestamp(), queue_manager_id = $3, slot = NULL
    FROM due WHERE q.id = ANY (ARRAY[due.id])
    {claimed}";

/// Put in for `{due}`: the index by priority, until there are enough. It reads over what is deferred, however much that is.
const DUE_BY_PRIORITY: &str = "due AS MATERIALIZED (
    SELECT id, priority FROM {queue}
    WHERE {gate}status = 'queued' AND entrypoint = {served} AND execute_after <= now(){from}
    ORDER BY priority DESC, id ASC
    LIMIT {most}
    FOR UPDATE SKIP LOCKED
)";

/// Put in for `{due}`: while few jobs are due, they are found by the time at which they became due, and then put in order; no job that is
/// deferred is looked at. Where many are due, the index by priority it is.
const DUE_OF_FEW: &str = "few AS MATERIALIZED (
    SELECT next.id, next.priority FROM unnest({all}) AS served(entrypoint) CROSS JOIN LATERAL (
        SELECT id, priority FROM {queue}
        WHERE status = 'queued' AND entrypoint = served.entrypoint AND execute_after <= now()
        ORDER BY execute_after LIMIT {few}
    ) AS next
    LIMIT {few}
), of_few AS MATERIALIZED (
    SELECT q.id, q.priority
    FROM (SELECT id FROM few WHERE (SELECT count(*) FROM few) < {few} ORDER BY priority DESC, id ASC) AS f CROSS JOIN LATERAL (
        SELECT id, priority FROM {queue}
        WHERE id = f.id AND status IS NOT DISTINCT FROM 'queued' AND execute_after <= now()
        FOR UPDATE SKIP LOCKED
    ) AS q
    LIMIT {most}
), {of_many}, due AS MATERIALIZED (
    SELECT * FROM of_few UNION ALL SELECT * FROM of_many
)";

/// So many are not few any more: as many rows as a look may read in vain. Of an entrypoint with a limit a claim takes a job or two.
const FEW: &str = "100";
/// Each entrypoint is a look into the index by time; past so many, few jobs are due anyway or many are.
const FEW_ENTRYPOINTS: usize = 64;

/// What is due, for a claim of so many jobs at most; of all these entrypoints, an array, each of which is `served`.
fn due(template: &str, all: &str, served: &str, most: &str, from: &str) -> String {
    let by_priority = |gate: &str| DUE_BY_PRIORITY.replace("{gate}", gate);
    let of_many = by_priority("(SELECT count(*) FROM few) >= {few} AND ").replacen("due AS", "of_many AS", 1);
    let text = if template == DUE_OF_FEW { DUE_OF_FEW.replace("{of_many}", &of_many) } else { by_priority("") };
    text.replace("{few}", FEW).replace("{all}", all).replace("{served}", served).replace("{most}", most).replace("{from}", from)
}

/// From the front, of few entrypoints or of many, or from where the last claim ended.
pub(super) fn claim(way: Way) -> String {
    let (template, from) = match way {
        Way::Front => (DUE_OF_FEW, ""),
        Way::FrontOfMany => (DUE_BY_PRIORITY, ""),
        Way::On => (DUE_BY_PRIORITY, GO_ON),
    };
    CLAIM.replace("{due}", &due(template, "$1::text[]", "ANY($1)", "$2", from)).replace("{claimed}", &claimed("")) + JOBS
}

/// The claim of an entrypoint with a limit.
pub(super) fn claim_limited() -> String {
    let gaps = |low: &str, high: &str| GAPS.replace("{low}", low).replace("{high}", high);
    let free =
        FREE.replace("{gaps_from_there}", &gaps("$5::bigint", "$4::bigint")).replace("{gaps_before}", &gaps("0::bigint", "$5::bigint"));
    format!("WITH {free}, {}{JOBS}", seated("$1", "$3", ""))
}

/// The job that is due for each seat of `free`, and its claim by `me`; logged when what is `after`, a condition, is known.
pub(super) fn seated(entrypoint: &str, me: &str, after: &str) -> String {
    let due = due(DUE_OF_FEW, &format!("ARRAY[{entrypoint}::text]"), entrypoint, "(SELECT count(*) FROM free)", "");
    SEATED.replace("{due}", &due).replace("{me}", me).replace("{claimed}", &claimed(after))
}

fn claimed(after: &str) -> String {
    CLAIMED.replace("{after}", after)
}

/// Where a claim looks for what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// At all of it.
    Front,
    /// The same, where many are due, or looking for a few would take a look for each of very many entrypoints.
    FrontOfMany,
    /// After the last that was claimed.
    On,
}

/// Put in for `{from}`: not from the front, but from where the last claim ended.
const GO_ON: &str = " AND priority = $4 AND id > $5";

/// For one entrypoint with a limit over all workers. A running job holds a seat (`slot`); the unique index over seats makes the
/// limit airtight, against PgQueuer's workers too. Only as many rows are locked as seats are free.
///
/// The limits stop the look for seats when there are enough: what is read are the seats that are taken between `$5` and those.
const FREE: &str = "free AS MATERIALIZED (
    SELECT seat, row_number() OVER () AS rank FROM (
        SELECT seat FROM ({gaps_from_there} UNION ALL {gaps_before}) AS gap
        CROSS JOIN LATERAL generate_series(gap.first, least(gap.last, gap.first + $2 - 1)) AS seat
        WHERE gap.first <= gap.last
        LIMIT $2
    ) AS f
)";

/// See `seated`.
const SEATED: &str = "{due}, seated AS (
    SELECT due.id, free.seat
    FROM (SELECT id, row_number() OVER (ORDER BY priority DESC, id ASC) AS rank FROM due) AS due
    JOIN free USING (rank)
), claimed AS (
    UPDATE {queue} AS q
    SET status = 'picked', updated = now(), heartbeat = clock_timestamp(), queue_manager_id = {me}, slot = seated.seat
    FROM seated WHERE q.id = ANY (ARRAY[seated.id])
    {claimed}";

/// The seats from `{low}` on and before `{high}` that are free. The windows have no order of their own, and the rows come in that of the
/// index, because sorting them would be reading all of them first.
const GAPS: &str = "(
            SELECT lag(slot, 1, {low} - 1) OVER () + 1 AS first, slot - 1 AS last FROM (
                (SELECT slot FROM {queue}
                 WHERE entrypoint = $1 AND status = 'picked' AND slot >= {low} AND slot < {high} ORDER BY slot)
                UNION ALL SELECT {high}
            ) AS taken
        )";

/// How all claims end: the log row, and the job. Put in for `{claimed}`.
const CLAIMED: &str =
    "RETURNING q.id, q.priority, q.entrypoint, q.payload, q.headers, q.attempts, q.created, q.updated, q.execute_after, q.slot
), claim_logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, aggregated)
    SELECT id, 'picked'::{status}, priority, entrypoint, {counted} FROM claimed{after}
), claim_tallied AS (
    {into_tally}SELECT date_trunc('sec', now()), count(*), priority, 'picked', entrypoint FROM claimed GROUP BY priority, entrypoint
), job AS (
    SELECT id::bigint AS id, priority, entrypoint, payload, headers::text AS headers, attempts, updated, {time:execute_after} AS execute_after, slot,
           (extract(epoch FROM {time:created}) * 1000)::bigint AS created_ms
    FROM claimed
)";

/// The claimed jobs, in the order in which they are to run.
const JOBS: &str = "
SELECT *, {suspicion} FROM job ORDER BY priority DESC, id ASC";

/// One index look-up per entrypoint.
pub(super) const NEXT_DUE: &str = "
SELECT (extract(epoch FROM {time:min(next.execute_after)} - now()) * 1000)::bigint
FROM unnest($1::text[], $2::bigint[]) AS served(entrypoint, back_ms), LATERAL (
    SELECT execute_after FROM {queue}
    WHERE status = 'queued' AND entrypoint = served.entrypoint AND execute_after > now() - served.back_ms * interval '1 millisecond'
    ORDER BY execute_after LIMIT 1
) AS next";

/// Running jobs may come back: from a failure, or from a worker that is lost.
pub(super) const WORK_LEFT: &str = "
SELECT EXISTS (SELECT FROM {queue} WHERE status = 'queued' AND entrypoint = ANY($1))
    OR EXISTS (SELECT FROM {queue} WHERE status = 'picked' AND entrypoint = ANY($1))";

/// For people, when they have to know.
pub(super) const COUNT_LEFT: &str = "
SELECT entrypoint, count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'picked') AS picked
FROM {queue} WHERE status IN ('queued', 'picked') AND entrypoint = ANY($1) GROUP BY entrypoint";

/// An entrypoint with a limit over all workers.
#[derive(Debug, Clone)]
pub struct Limited {
    /// Its name.
    pub entrypoint: Arc<str>,
    /// Jobs that run at once.
    pub concurrency: u32,
}

impl Queue {
    /// Take up to `max` due jobs of entrypoints without a limit, highest priority first, oldest first. While a look at all of them is dear,
    /// or there are more than `max`, those that come after the last are taken first for a while.
    pub async fn claim(&self, entrypoints: &[Arc<str>], max: usize) -> sqlx::Result<Vec<Job>> {
        let mut claimed = Vec::new();
        let place = self.front.place();
        if let Some(place) = place {
            let claim = self.claiming(&self.sql.claim_on, entrypoints, max).bind(place.priority).bind(place.after);
            claimed = self.claimed(claim.fetch_all(&self.pool).await?, entrypoints)?;
            self.front.went_on(&claimed);
            if claimed.len() == max || self.front.rest().is_some() {
                return Ok(claimed);
            }
        }
        // Many were due a moment ago, and no claim since has come to their end: no need to count.
        let many = entrypoints.len() > FEW_ENTRYPOINTS || place.is_none() && self.front.plenty();
        let (asked, left) = (Instant::now(), max - claimed.len());
        let look = if many { &self.sql.claim_of_many } else { &self.sql.claim };
        let front = match self.claiming(look, entrypoints, left).fetch_all(&self.pool).await {
            Ok(rows) => self.claimed(rows, entrypoints)?,
            Err(error) if claimed.is_empty() => return Err(error),
            // What was claimed already must not be lost with it.
            Err(_) => return Ok(claimed),
        };
        self.front.claimed(asked.elapsed(), &front, front.len() == left);
        claimed.extend(front);
        Ok(claimed)
    }

    /// The parameters that both begin with.
    fn claiming(&self, sql: &SqlStr, entrypoints: &[Arc<str>], max: usize) -> Query<'static, Postgres, PgArguments> {
        let entrypoints: Vec<String> = entrypoints.iter().map(|entrypoint| entrypoint.to_string()).collect();
        sqlx::query(sql.clone()).bind(entrypoints).bind(i64::try_from(max).unwrap_or(i64::MAX)).bind(self.me)
    }

    /// What a claim brought.
    pub(super) fn claimed(&self, rows: Vec<PgRow>, entrypoints: &[Arc<str>]) -> sqlx::Result<Vec<Job>> {
        if !rows.is_empty() {
            self.tallied.notify_one();
        }
        let known: HashMap<&str, &Arc<str>> = entrypoints.iter().map(|entrypoint| (&**entrypoint, entrypoint)).collect();
        rows.iter().map(|row| job(row, &known)).collect()
    }

    /// Take up to `max` due jobs of an entrypoint with a limit, as far as seats are free. Losing a race for a seat is an empty
    /// claim.
    pub async fn claim_limited(&self, limited: &Limited, max: usize) -> sqlx::Result<Vec<Job>> {
        let claim = sqlx::query(self.sql.claim_limited.clone())
            .bind(&*limited.entrypoint)
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .bind(self.me)
            .bind(i64::from(limited.concurrency))
            .bind(i64::from(self.seats.begin(limited)));
        match claim.fetch_all(&self.pool).await {
            Ok(rows) => {
                if let Some(last) = rows.last() {
                    let seat: i64 = last.try_get("slot")?;
                    self.seats.took(limited, u32::try_from(seat).unwrap_or(0));
                }
                self.claimed(rows, std::slice::from_ref(&limited.entrypoint))
            }
            // Two workers that race for the same seat: a violation of the unique index, or a deadlock.
            Err(error) if Remedy::of(&error) == Remedy::AtOnce || sqlstate::is(&error, sqlstate::UNIQUE_VIOLATION) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// How long until the next job of these entrypoints is due, of those that were not due yet so long ago: what became due since the last
    /// look began was perhaps not seen, and is due now. How far to look back is the caller's to say for each of them, with room for the
    /// time that this question takes; not for ever, since the index is full of what was due once.
    /// While a look at all jobs is too dear, the answer is when it will be made.
    pub async fn next_due<'a>(&self, back: impl IntoIterator<Item = (&'a str, Duration)>) -> sqlx::Result<Option<Duration>> {
        if let Some(rest) = self.front.rest() {
            return Ok(Some(rest));
        }
        let (entrypoints, back): (Vec<&str>, Vec<i64>) =
            back.into_iter().map(|(entrypoint, back)| (entrypoint, super::millis(back))).unzip();
        let ms: Option<i64> = sqlx::query_scalar(self.sql.next_due.clone()).bind(entrypoints).bind(back).fetch_one(&self.pool).await?;
        Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// What is queued or picked of these entrypoints, by any worker: their names, and how many of either.
    pub async fn count_left(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<Vec<(String, i64, i64)>> {
        sqlx::query_as(self.sql.count_left.clone()).bind(texts(entrypoints)).fetch_all(&self.pool).await
    }

    /// Whether any job of these entrypoints is queued, due or not, or picked, by any worker.
    pub async fn has_work(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<bool> {
        sqlx::query_scalar(self.sql.work_left.clone()).bind(texts(entrypoints)).fetch_one(&self.pool).await
    }
}

fn texts(entrypoints: &[Arc<str>]) -> Vec<&str> {
    entrypoints.iter().map(|entrypoint| &**entrypoint).collect()
}

fn job(row: &PgRow, known: &HashMap<&str, &Arc<str>>) -> sqlx::Result<Job> {
    let entrypoint: &str = row.try_get("entrypoint")?;
    let attempts: i32 = row.try_get("attempts")?;
    let created_ms: i64 = row.try_get("created_ms")?;
    let id: JobId = row.try_get("id")?;
    Ok(Job {
        id,
        claim: Claim { id, at: row.try_get("updated")? },
        priority: row.try_get("priority")?,
        due: row.try_get("execute_after")?,
        created_ms: u64::try_from(created_ms).unwrap_or(0),
        entrypoint: known.get(entrypoint).map_or_else(|| Arc::from(entrypoint), |known| Arc::clone(known)),
        payload: row.try_get("payload")?,
        headers: row.try_get("headers")?,
        attempts: u32::try_from(attempts).unwrap_or(0),
        suspicion: suspect::suspicion(row.try_get("suspicion")?),
    })
}

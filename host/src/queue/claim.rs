//! Claiming: taking jobs that are due, for entrypoints that this host serves.

use std::any::Any;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::due::{self, Bounds, Place};
use super::text::Lossy;
use super::{Queue, Remedy, front, sqlstate, suspect};
use crate::byte_budget::Reservation;
use crate::job::{Claim, Job, JobId};
use crate::told::Told as _;

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
    FROM fit WHERE fit.is_light AND fit.is_near AND q.id = ANY (ARRAY[fit.id])
    {claimed}";

/// Each entrypoint is a look into the index by time; past so many, few jobs are due anyway or many are.
const FEW_ENTRYPOINTS: usize = 64;

/// From the front, of few entrypoints or of many, or from where the last claim ended.
pub(super) fn claim(way: Way) -> String {
    let from = if way == Way::On { GO_ON } else { "" };
    let place = Place { all: "$1::text[]", served: "ANY($1)", most: "$2", from };
    let bounds = Bounds { left: "$4", alone: "$5", inline: "$6" };
    let due = if way == Way::Front { due::of_few(&place, bounds) } else { due::by_priority(&place, bounds) };
    CLAIM.replace("{due}", &due).replace("{claimed}", &claimed("", bounds)) + &jobs()
}

/// The claim of an entrypoint with a limit.
pub(super) fn claim_limited() -> String {
    let gaps = |low: &str, high: &str| GAPS.replace("{low}", low).replace("{high}", high);
    let free =
        FREE.replace("{gaps_from_there}", &gaps("$5::bigint", "$4::bigint")).replace("{gaps_before}", &gaps("0::bigint", "$5::bigint"));
    format!("WITH {free}, {}{}", seated("$1", "$3", "", Bounds { left: "$6", alone: "$7", inline: "$8" }), jobs())
}

/// The job that is due for each seat of `free`, and its claim by `me`; logged when what is `after`, a condition, is known.
pub(super) fn seated(entrypoint: &str, me: &str, after: &str, bounds: Bounds) -> String {
    let all = format!("ARRAY[{entrypoint}::text]");
    let due = due::of_few(&Place { all: &all, served: entrypoint, most: "(SELECT count(*) FROM free)", from: "" }, bounds);
    SEATED.replace("{due}", &due).replace("{me}", me).replace("{claimed}", &claimed(after, bounds))
}

fn claimed(after: &str, bounds: Bounds) -> String {
    bounds.fill(&CLAIMED.replace("{after}", after).replace("{bytes}", due::BYTES).replace("{no_headers}", NO_HEADERS))
}

fn jobs() -> String {
    JOBS.replace("{left_over}", due::LEFT)
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
const GO_ON: &str = " AND priority = $7 AND id > $8";

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
    SELECT next.id, free.seat
    FROM (SELECT id, row_number() OVER (ORDER BY priority DESC, id ASC) AS rank FROM fit WHERE is_light AND is_near) AS next
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
    SELECT id::bigint AS id, priority, entrypoint, attempts, updated, {time:execute_after} AS execute_after, slot, bytes, is_inlined,
           CASE WHEN is_inlined THEN payload END AS payload, CASE WHEN is_inlined THEN headers::text END AS headers,
           (extract(epoch FROM {time:created}) * 1000)::bigint AS created_ms
    FROM (
        SELECT *, {bytes} AS bytes, {bytes} <= {inline} AND CASE WHEN {no_headers} THEN true ELSE octet_length(headers::text) <= 8192 END
               AS is_inlined
        FROM claimed OFFSET 0
    ) AS sized
)";

/// JSON null and empty objects; a number in a few bytes more can have 131,072 digits.
const NO_HEADERS: &str = "coalesce(pg_column_size(headers), 0) <= 12";

/// The claimed jobs, in the order in which they are to run; or a single row without one.
const JOBS: &str = "
SELECT *, {suspicion} FROM {left_over} LEFT JOIN job ON true ORDER BY priority DESC, id ASC";

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// Its name.
    pub entrypoint: Arc<str>,
    /// Jobs that run at once.
    pub concurrency: u32,
}

/// What a claim took, and whether that was all it could.
#[derive(Debug, Default)]
pub struct Claimed {
    /// In the order in which they are to run.
    pub jobs: Vec<Job>,
    /// Some were left because one answer has no room for more.
    pub too_many: bool,
    /// Some were left because this host holds too many bytes to take them as well.
    pub too_heavy: bool,
}

impl std::ops::Deref for Claimed {
    type Target = [Job];

    fn deref(&self) -> &[Job] {
        &self.jobs
    }
}

/// Whether jobs come with their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bodies {
    /// Those that are small.
    Inlined,
    /// None: one of them cannot be sent, and nobody knows which.
    Later,
}

impl Bodies {
    fn inline(self) -> i32 {
        match self {
            Bodies::Inlined => due::INLINE_BYTES,
            Bodies::Later => -1,
        }
    }
}

impl Queue {
    /// Take up to `max` due jobs of entrypoints without a limit, highest priority first, oldest first. While a look at all of them is dear,
    /// or there are more than `max`, those that come after the last are taken first for a while.
    pub async fn claim(&self, entrypoints: &[Arc<str>], max: usize) -> sqlx::Result<Claimed> {
        let mut claimed = Claimed::default();
        let place = self.front.place();
        if let Some(place) = place {
            claimed = self.look(&self.sql.claim_on, entrypoints, max, Some(place)).await?;
            if !claimed.too_heavy {
                self.front.went_on(&claimed.jobs);
            }
            if claimed.len() == max || claimed.too_many || self.front.rest().is_some() {
                return Ok(claimed);
            }
        }
        // Many were due a moment ago, and no claim since has come to their end: no need to count.
        let many = entrypoints.len() > FEW_ENTRYPOINTS || place.is_none() && self.front.plenty();
        let (asked, left) = (Instant::now(), max - claimed.len());
        let look = if many { &self.sql.claim_of_many } else { &self.sql.claim };
        let front = match self.look(look, entrypoints, left, None).await {
            Ok(front) => front,
            Err(error) if claimed.is_empty() => return Err(error),
            // What was claimed already must not be lost with it.
            Err(_) => return Ok(claimed),
        };
        // What was passed over stands before what was taken.
        let taken = if front.too_heavy { &[] } else { &*front.jobs };
        self.front.claimed(asked.elapsed(), taken, front.len() == left || front.too_many);
        claimed.jobs.extend(front.jobs);
        Ok(Claimed { too_many: front.too_many, too_heavy: claimed.too_heavy || front.too_heavy, ..claimed })
    }

    /// Take up to `max` due jobs of one entrypoint without a limit, for itself: where the claims of all others go on from is left as it is.
    pub async fn claim_few(&self, entrypoint: &Arc<str>, max: usize) -> sqlx::Result<Claimed> {
        self.look(&self.sql.claim, std::slice::from_ref(entrypoint), max, None).await
    }

    async fn look(&self, sql: &SqlStr, entrypoints: &[Arc<str>], max: usize, place: Option<front::Place>) -> sqlx::Result<Claimed> {
        let query = |reserved: &Reservation, bodies: Bodies| {
            let texts: Vec<String> = entrypoints.iter().map(|entrypoint| self.charset.name(entrypoint).into_owned()).collect();
            let query = sqlx::query(sql.clone()).bind(texts).bind(i64::try_from(max).unwrap_or(i64::MAX)).bind(self.me);
            let query = bounded(query, reserved, bodies);
            match place {
                Some(place) => query.bind(place.priority).bind(place.after),
                None => query,
            }
        };
        let (rows, reserved) = self.rows(query).await?;
        Ok(self.claimed(&rows, entrypoints, &reserved))
    }

    /// The answer to a claim. Where a row cannot be sent, such as one whose headers are no text in this database's encoding or one of
    /// gigabytes, jobs are claimed without their bodies: reading these later finds out which it is, and all others run.
    async fn rows(
        &self,
        query: impl Fn(&Reservation, Bodies) -> Query<'static, Postgres, PgArguments>,
    ) -> sqlx::Result<(Vec<PgRow>, Reservation)> {
        let reserved = self.bytes.reserve();
        let rows = match query(&reserved, Bodies::Inlined).fetch_all(&self.pool).await {
            Err(error) if is_unreadable(&error) => {
                tracing::warn!(error = %error.told(), "a job that is due cannot be read as it is; jobs are read one by one");
                query(&reserved, Bodies::Later).fetch_all(&self.pool).await?
            }
            rows => rows?,
        };
        Ok((rows, reserved))
    }

    /// What a claim brought. A row that cannot be read costs nobody but itself: it is put back when its lease is over.
    pub(super) fn claimed(&self, rows: &[PgRow], entrypoints: &[Arc<str>], reserved: &Reservation) -> Claimed {
        let left = |why: &str| rows.first().and_then(|row| row.try_get::<i64, _>(why).ok()).is_some_and(|jobs| jobs > 0);
        let mut claimed = Claimed { jobs: Vec::with_capacity(rows.len()), too_many: left("too_many"), too_heavy: left("too_heavy") };
        let known: HashMap<&str, &Arc<str>> = entrypoints.iter().map(|entrypoint| (&**entrypoint, entrypoint)).collect();
        for row in rows {
            match job(row, &known, reserved) {
                Ok(job) => claimed.jobs.extend(job),
                Err(error) => tracing::error!(error = %error.told(), "a claimed row cannot be read; it is put back when its lease is over"),
            }
        }
        if !claimed.jobs.is_empty() {
            self.tallied.notify_one();
        }
        claimed
    }

    /// Take up to `max` due jobs of an entrypoint with a limit, as far as seats are free. Losing a race for a seat is an empty
    /// claim.
    pub async fn claim_limited(&self, limited: &Limited, max: usize) -> sqlx::Result<Claimed> {
        let begin = i64::from(self.seats.begin(limited));
        let query = |reserved: &Reservation, bodies: Bodies| {
            let query = sqlx::query(self.sql.claim_limited.clone())
                .bind(self.charset.name(&limited.entrypoint).into_owned())
                .bind(i64::try_from(max).unwrap_or(i64::MAX))
                .bind(self.me)
                .bind(i64::from(limited.concurrency))
                .bind(begin);
            bounded(query, reserved, bodies)
        };
        match self.rows(query).await {
            Ok((rows, reserved)) => {
                if let Some(seat) = rows.last().and_then(|last| last.try_get::<Option<i64>, _>("slot").ok().flatten()) {
                    self.seats.took(limited, u32::try_from(seat).unwrap_or(0));
                }
                Ok(self.claimed(&rows, std::slice::from_ref(&limited.entrypoint), &reserved))
            }
            // Two workers that race for the same seat: a violation of the unique index, or a deadlock.
            Err(error) if Remedy::of(&error) == Remedy::AtOnce || sqlstate::is(&error, sqlstate::UNIQUE_VIOLATION) => {
                Ok(Claimed::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Resolves when this worker let a job's bytes go since the last call.
    pub async fn lightened(&self) {
        self.bytes.freed().await;
    }

    /// How long until the next job of these entrypoints is due, of those that were not due yet so long ago: what became due since the last
    /// look began was perhaps not seen, and is due now. How far to look back is the caller's to say for each of them, with room for the
    /// time that this question takes; not for ever, since the index is full of what was due once.
    /// While a look at all jobs is too dear, the answer is when it will be made.
    pub async fn next_due<'a>(&self, back: impl IntoIterator<Item = (&'a str, Duration)>) -> sqlx::Result<Option<Duration>> {
        if let Some(rest) = self.front.rest() {
            return Ok(Some(rest));
        }
        let (entrypoints, back): (Vec<Cow<'_, str>>, Vec<i64>) =
            back.into_iter().map(|(entrypoint, back)| (self.charset.name(entrypoint), super::millis(back))).unzip();
        let ms: Option<i64> = sqlx::query_scalar(self.sql.next_due.clone()).bind(entrypoints).bind(back).fetch_one(&self.pool).await?;
        Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// What is queued or picked of these entrypoints, by any worker: their names, and how many of either.
    pub async fn count_left(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<Vec<(String, i64, i64)>> {
        sqlx::query_as(self.sql.count_left.clone()).bind(self.names_of(entrypoints)).fetch_all(&self.pool).await
    }

    /// Whether any job of these entrypoints is queued, due or not, or picked, by any worker.
    pub async fn has_work(&self, entrypoints: &[Arc<str>]) -> sqlx::Result<bool> {
        sqlx::query_scalar(self.sql.work_left.clone()).bind(self.names_of(entrypoints)).fetch_one(&self.pool).await
    }

    fn names_of<'a>(&self, entrypoints: &'a [Arc<str>]) -> Vec<Cow<'a, str>> {
        entrypoints.iter().map(|entrypoint| self.charset.name(entrypoint)).collect()
    }
}

/// The parameters that bound a claim.
pub(super) fn bounded(
    query: Query<'static, Postgres, PgArguments>,
    reserved: &Reservation,
    bodies: Bodies,
) -> Query<'static, Postgres, PgArguments> {
    query.bind(i64::try_from(reserved.bytes).unwrap_or(i64::MAX)).bind(reserved.alone).bind(bodies.inline())
}

/// What is known to be wrong with a value, and what a value of gigabytes does to the server.
pub(super) fn is_unreadable(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("54") || code == "53200" || code == "XX000")
}

/// The row of a job; none, where the claim brought none.
fn job(row: &PgRow, known: &HashMap<&str, &Arc<str>>, reserved: &Reservation) -> sqlx::Result<Option<Job>> {
    let Some(id) = row.try_get::<Option<JobId>, _>("id")? else { return Ok(None) };
    let entrypoint: Lossy = row.try_get("entrypoint")?;
    let attempts: i32 = row.try_get("attempts")?;
    let created_ms: i64 = row.try_get("created_ms")?;
    let bytes = u64::from(row.try_get::<i32, _>("bytes")?.unsigned_abs());
    let headers: Option<Lossy> = row.try_get("headers")?;
    Ok(Some(Job {
        id,
        claim: Claim { id, at: row.try_get("updated")? },
        priority: row.try_get("priority")?,
        due: row.try_get("execute_after")?,
        created_ms: u64::try_from(created_ms).unwrap_or(0),
        entrypoint: known.get(&*entrypoint.0).map_or_else(|| Arc::from(&*entrypoint.0), |known| Arc::clone(known)),
        payload: row.try_get("payload")?,
        headers: headers.map(|headers| headers.0),
        attempts: u32::try_from(attempts).unwrap_or(0),
        suspicion: suspect::suspicion(row.try_get("suspicion")?),
        unread: (!row.try_get::<bool, _>("is_inlined")?).then_some(bytes),
        share: reserved.share(bytes).map(|share| share as Arc<dyn Any + Send + Sync>),
    }))
}

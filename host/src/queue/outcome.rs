//! Recording how runs ended, many at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::attempt::{Attempt, Attempts};
use super::claim::Limited;
use super::enqueue::Columns;
use super::{Queue, millis};
use crate::job::{Claim, Disposition, JobId};

/// The rows that are still under the very claims whose outcomes these are. Put in for `{ours}`.
///
/// Written so that there is one way to run it: for each outcome, the row by its primary key (`= ANY (ARRAY[one])` is no join by hashing or
/// merging, and no other index can serve `IS NOT DISTINCT FROM`). On a queue table, statistics are as good as never true: left the choice,
/// PostgreSQL goes through all rows that a worker holds for each outcome now and then (0.7 to 2.2 s for 1,000 of them, against 3 ms).
pub(super) const OURS: &str = "q.id = ANY (ARRAY[done.id]) AND q.updated IS NOT DISTINCT FROM done.claimed
      AND q.queue_manager_id IS NOT DISTINCT FROM $2 AND q.status IS NOT DISTINCT FROM 'picked'
    RETURNING done.*, q.priority, q.entrypoint, q.slot";

/// How all of them end: whose outcomes were recorded.
pub(super) const RECORDED: &str = "
SELECT id::bigint FROM ours";

/// The common case, and nothing in it that the common case does not need: jobs that are done, without anything to keep.
pub(super) const FINISH: &str = "
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes)
), ours AS (
    DELETE FROM {queue} AS q USING done WHERE {ours}
), {attempted}, logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, aggregated)
    SELECT id, 'successful'::{status}, priority, entrypoint, {counted} FROM ours
), tallied AS (
    {into_tally}SELECT date_trunc('sec', now()), count(*), priority, 'successful', entrypoint FROM ours GROUP BY priority, entrypoint
)";

/// Outcome, traceback, output and follow-up jobs in one statement: all of them are there, or none. Follow-ups of a job that is not
/// ours any more are not enqueued; those of a job that is come after its row is gone (hence the join with it), and may have its
/// dedupe key.
pub(super) const FINISH_WITH_EXTRAS: &str = "
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[], $10::bytea[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes, status, traceback, output)
), ours AS (
    DELETE FROM {queue} AS q USING done WHERE {ours}
), {attempted}, logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, traceback, aggregated)
    SELECT id, status::{status}, priority, entrypoint, traceback::jsonb, {counted} FROM ours {logged}
), tallied AS (
    {into_tally}SELECT date_trunc('sec', now()), count(*), priority, status, entrypoint FROM ours GROUP BY priority, status, entrypoint
), kept AS (
    INSERT INTO {output} (job_id, entrypoint, output)
    SELECT id, entrypoint, output FROM ours WHERE output IS NOT NULL
    ON CONFLICT (job_id) DO UPDATE SET output = EXCLUDED.output, entrypoint = EXCLUDED.entrypoint, created = now()
), new AS (
    INSERT INTO {queue} (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT f.priority, f.entrypoint, f.payload, now() + f.delay_ms * interval '1 millisecond', f.dedupe_key,
           coalesce(f.headers, 'null')::jsonb, 'queued'::{status}
    FROM unnest($11::bigint[], $12::int[], $13::text[], $14::bytea[], $15::bigint[], $16::text[], $17::text[]) WITH ORDINALITY
         AS f(parent, priority, entrypoint, payload, delay_ms, dedupe_key, headers, ord)
    JOIN ours ON ours.id = f.parent
    ORDER BY f.ord{on_conflict}
    RETURNING id, priority, entrypoint
), new_logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::{status}, priority, entrypoint FROM new
)";

/// Back into the queue, or held as failed.
pub(super) const PUT_BACK: &str = "
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::bigint[], $10::int[], $11::text[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes, status, delay_ms, failures, traceback)
), ours AS (
    UPDATE {queue} AS q
    SET status = done.status::{status}, attempts = least(q.attempts::bigint + done.failures, 2147483647)::int, updated = now(), queue_manager_id = NULL, slot = NULL,
        execute_after = CASE done.status WHEN 'queued' THEN now() + done.delay_ms * interval '1 millisecond' ELSE q.execute_after END
    FROM done WHERE {ours}
), {attempted}, logged AS (
    INSERT INTO {log} (job_id, status, priority, entrypoint, traceback)
    SELECT id, status::{status}, priority, entrypoint, traceback::jsonb FROM ours
)";

/// A claimed job and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Which claim of which job.
    pub claim: Claim,
    /// What.
    pub disposition: Disposition,
    /// The run; none where the job was given back without one.
    pub attempt: Option<Attempt>,
    /// The limit that the job ran under, if there was one: the outcome gives a seat back.
    pub limited: Option<Limited>,
    /// It was a suspect, and its run ended: it is none any more.
    pub suspect: bool,
    /// Somebody cancelled it while it ran, so that its row may be gone.
    pub cancelled: bool,
}

impl Record {
    /// Whether the job leaves the queue. (One that stays may be due again at once, and before all others.)
    pub fn is_final(&self) -> bool {
        matches!(self.disposition, Disposition::Finished { .. })
    }
}

impl Queue {
    /// Record these outcomes. Returns the ids of the jobs that were still ours; what is missing belongs to another worker by now,
    /// and was left alone. Each of the up to three statements is atomic; on an error none of the remaining ones was tried.
    pub async fn record(&self, records: &[Record]) -> sqlx::Result<Vec<JobId>> {
        let (plain, rest): (Vec<&Record>, Vec<&Record>) = records.iter().partition(|record| record.disposition.is_plain());
        let (done, back): (Vec<&Record>, Vec<&Record>) = rest.into_iter().partition(|record| record.is_final());
        let mut ours = Vec::with_capacity(records.len());
        if !plain.is_empty() {
            ours.extend(self.finish(&plain).await?);
        }
        if !done.is_empty() {
            ours.extend(self.finish_with_extras(&done).await?);
        }
        if !ours.is_empty() {
            self.tallied.notify_one();
        }
        if !back.is_empty() {
            ours.extend(self.put_back(&back).await?);
        }
        Ok(ours)
    }

    async fn finish(&self, records: &[&Record]) -> sqlx::Result<Vec<JobId>> {
        self.ids(self.ours(self.sql.finish.clone(), records)).await
    }

    async fn finish_with_extras(&self, records: &[&Record]) -> sqlx::Result<Vec<JobId>> {
        self.ids(self.with_extras(self.sql.finish_with_extras.clone(), records)).await
    }

    async fn ids(&self, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<Vec<JobId>> {
        query.fetch_all(&self.pool).await?.iter().map(|row| row.try_get(0)).collect()
    }

    /// The parameters of what finishes with extras.
    pub(super) fn with_extras(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        let (mut statuses, mut tracebacks, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut parents, mut jobs) = (Vec::new(), Vec::new());
        for record in records {
            let Disposition::Finished { status, traceback, output, follow_ups } = &record.disposition else {
                unreachable!("they were sorted")
            };
            statuses.push(status.label());
            tracebacks.push(traceback.as_ref().map(|traceback| self.charset.json(traceback).to_string()));
            outputs.push(output.as_deref());
            parents.extend(std::iter::repeat_n(record.claim.id, follow_ups.len()));
            jobs.extend(follow_ups);
        }
        let columns = Columns::of(jobs);
        self.ours(sql, records)
            .bind(statuses)
            .bind(tracebacks)
            .bind(outputs)
            .bind(parents)
            .bind(columns.priority)
            .bind(columns.entrypoint)
            .bind(columns.payload)
            .bind(columns.delay_ms)
            .bind(columns.dedupe_key)
            .bind(columns.headers)
    }

    async fn put_back(&self, records: &[&Record]) -> sqlx::Result<Vec<JobId>> {
        let (mut statuses, mut delays, mut failures, mut tracebacks) = (vec![], vec![], vec![], vec![]);
        for record in records {
            let (status, delay, failed, traceback) = match &record.disposition {
                Disposition::Again { delay, counts, traceback } => ("queued", *delay, i32::from(*counts), traceback.as_ref()),
                Disposition::Held { traceback } => ("failed", Duration::ZERO, 1, Some(traceback)),
                Disposition::Finished { .. } => unreachable!("they were sorted"),
            };
            statuses.push(status);
            delays.push(millis(delay));
            failures.push(failed);
            tracebacks.push(traceback.map(|traceback| self.charset.json(traceback).to_string()));
        }
        let put_back = self.ours(self.sql.put_back.clone(), records);
        self.ids(put_back.bind(statuses).bind(delays).bind(failures).bind(tracebacks)).await
    }

    /// The parameters that all begin with: the claims, who holds them, and how their runs were.
    fn ours(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        let (ids, claimed): (Vec<JobId>, Vec<DateTime<Utc>>) = records.iter().map(|record| (record.claim.id, record.claim.at)).unzip();
        let attempts = Attempts::of(records);
        sqlx::query(sql)
            .bind(ids)
            .bind(self.me)
            .bind(claimed)
            .bind(attempts.number)
            .bind(attempts.plugin)
            .bind(attempts.elapsed_us)
            .bind(attempts.memory)
    }
}

//! Recording outcomes, many at a time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::{Row as _, SqlStr};

use super::attempt::{Attempts, Figures};
use super::enqueue::Columns;
use super::lines::with_lines;
use super::millis::millis;
use super::record::Sorted;
use super::{Pool, Queue, Record};
use pgq_job::{Disposition, JobId};

/// A session keeps the buffers of a statement of up to this many bytes.
const LARGE_BYTES: usize = 1 << 20;

impl Queue {
    /// Record these outcomes. Returns the jobs that were still ours; the others belong to another
    /// worker by now and are left alone. There are up to three statements, each atomic; after an
    /// error, the remaining ones are not tried.
    pub async fn record(&self, records: &[Record]) -> sqlx::Result<Vec<JobId>> {
        let Sorted { plain, done, back } = Sorted::of(records);
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
        self.tell_failures(&done);
        if !back.is_empty() {
            ours.extend(self.put_back(&back).await?);
            self.tallied.notify_one();
            self.tell_failures(&back);
        }
        Ok(ours)
    }

    async fn finish(&self, records: &[&Record]) -> sqlx::Result<Vec<JobId>> {
        self.ids(self.plain(self.sql.finish.clone(), records)).await
    }

    async fn finish_with_extras(&self, records: &[&Record]) -> sqlx::Result<Vec<JobId>> {
        let query = self.extras(self.sql.finish_with_extras.clone(), records);
        let rows = query.fetch_all(&self.pool_for(records)).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Where outcomes of this size are sent to.
    pub(super) fn pool_for(&self, records: &[&Record]) -> Pool {
        let bytes: usize = records.iter().map(|record| record.bytes()).sum();
        if bytes > LARGE_BYTES { self.pool.for_large() } else { self.pool.clone() }
    }

    async fn ids(&self, query: Query<'static, Postgres, PgArguments>) -> sqlx::Result<Vec<JobId>> {
        query.fetch_all(&self.pool).await?.iter().map(|row| row.try_get(0)).collect()
    }

    /// The parameters that all of them end with, apart from lines: the history, and figures.
    fn with_figures(
        &self,
        query: Query<'static, Postgres, PgArguments>,
        records: &[&Record],
    ) -> Query<'static, Postgres, PgArguments> {
        let figures = Figures::of(records.iter().map(|record| record.attempt));
        query
            .bind(self.history.claims_unlogged())
            .bind(self.history.successes_unlogged())
            .bind(figures.cpu_us)
            .bind(figures.sent)
            .bind(figures.received)
            .bind(figures.requests)
    }

    /// The same with lines.
    pub(super) fn at_the_end(
        &self,
        query: Query<'static, Postgres, PgArguments>,
        records: &[&Record],
    ) -> Query<'static, Postgres, PgArguments> {
        with_lines(self.with_figures(query, records), records.iter().map(|record| record.lines.as_ref()))
    }

    /// The parameters of `finish`.
    pub(super) fn plain(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        self.with_figures(self.ours(sql, records), records)
    }

    /// The parameters of `finish_with_extras`.
    pub(super) fn extras(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        self.at_the_end(self.with_extras(sql, records), records)
    }

    /// Those without the last, which `hand_over` has as well.
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
        self.ids(self.back(self.sql.put_back.clone(), records)).await
    }

    /// The parameters of `put_back`.
    pub(super) fn back(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        let (mut statuses, mut delays, mut failures, mut tracebacks) = (vec![], vec![], vec![], vec![]);
        for record in records {
            let (status, delay, failed, traceback) = match &record.disposition {
                Disposition::Again { delay, counts, traceback } => {
                    ("queued", *delay, i32::from(*counts), traceback.as_ref())
                }
                Disposition::Held { traceback } => ("failed", Duration::ZERO, 1, Some(traceback)),
                Disposition::Finished { .. } => unreachable!("they were sorted"),
            };
            statuses.push(status);
            delays.push(millis(delay));
            failures.push(failed);
            tracebacks.push(traceback.map(|traceback| self.charset.json(traceback).to_string()));
        }
        let query = self.ours(sql, records).bind(statuses).bind(delays).bind(failures).bind(tracebacks);
        let previous = records.iter().map(|record| record.trace.as_ref().and_then(|trace| trace.as_previous()));
        self.at_the_end(query, records).bind(previous.collect::<Vec<Option<String>>>())
    }

    /// The parameters that all statements begin with: claims, worker, and figures of the runs.
    fn ours(&self, sql: SqlStr, records: &[&Record]) -> Query<'static, Postgres, PgArguments> {
        let (ids, claimed): (Vec<JobId>, Vec<DateTime<Utc>>) =
            records.iter().map(|record| (record.claim.id, record.claim.at)).unzip();
        let attempts = Attempts::of(records.iter().map(|record| record.attempt));
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

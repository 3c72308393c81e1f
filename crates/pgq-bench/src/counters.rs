//! What the database counts: bytes of its write-ahead log, row versions left for vacuum, and what
//! the queue's log says about jobs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::environment::Environment;
use pgq_queue::{Database, Queue};

const WAL: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
const NOW: &str = "SELECT clock_timestamp()";
/// The current value of the log's sequence. Unlike a count, this needs no scan.
const LOGGED: &str = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('{log}', 'id')::regclass), 0)";
const DEAD: &str = "
SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint, coalesce(sum(n_tup_del), 0)::bigint
FROM pg_stat_all_tables WHERE schemaname = $1";
const SEEN: &str = "SELECT count(*) FROM {host}";

/// Each write of a worker is one transaction, and its log rows carry the transaction's number.
const OUTCOMES: &str = "
SELECT count(*) FILTER (WHERE status = 'successful') AS successful,
       count(*) FILTER (WHERE status = 'picked') AS picked,
       count(*) FILTER (WHERE status NOT IN ('queued', 'picked', 'successful')) AS other,
       count(DISTINCT xmin::text) FILTER (WHERE status <> 'queued') AS transactions,
       extract(epoch FROM max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))::float8 AS seconds
FROM {log} WHERE job_id >= $1 AND created >= $2 AND created < $3";

/// Grouped rather than joined with itself: the planner has no statistics for the log yet, and would
/// look up each job separately.
const TIMES: &str = "
SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM done - begun)::float8 * 1000)
FROM (
    SELECT max(created) FILTER (WHERE status = $4::text::{status}) AS done, min(created) FILTER (WHERE status = $5::text::{status}) AS begun
    FROM {log} WHERE job_id >= $1 GROUP BY job_id
) AS jobs WHERE done >= $2 AND done < $3";

const FAILURE: &str = "
SELECT coalesce(traceback->>'exception_type', status::text) || ': ' || coalesce(traceback->>'exception_message', '')
FROM {log} WHERE status NOT IN ('queued', 'picked', 'successful') ORDER BY id LIMIT 1";

const AGGREGATED_AT_ONCE: usize = 10_000;
/// A backend reports its statistics when it ends, and they take a moment to be collected.
const STATISTICS_TIMEOUT: Duration = Duration::from_secs(5);

/// What the log says about some jobs.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) successful: i64,
    pub(super) picked: i64,
    pub(super) other: i64,
    pub(super) transactions: i64,
    /// From the first claim to the last outcome.
    pub(super) seconds: Option<f64>,
}

/// The jobs from this id on, and what was logged about them between these times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

impl Span {
    /// Everything logged about the jobs from this id on.
    pub(super) fn all(first: i64) -> Span {
        Span { first, from: DateTime::UNIX_EPOCH, to: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(100_000) }
    }
}

/// The database's counters, read over one connection.
pub(super) struct Counters<'a> {
    pub(super) environment: &'a Environment,
    pub(super) connection: &'a mut PgConnection,
}

impl Counters<'_> {
    pub(super) async fn wal(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(WAL).fetch_one(&mut *self.connection).await
    }

    pub(super) async fn now(&mut self) -> sqlx::Result<DateTime<Utc>> {
        sqlx::query_scalar(NOW).fetch_one(&mut *self.connection).await
    }

    /// How many rows the log has ever had.
    pub(super) async fn logged(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(self.environment.sql(LOGGED)).fetch_one(&mut *self.connection).await
    }

    /// How many hosts have announced themselves.
    pub(super) async fn hosts(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(self.environment.sql(SEEN)).fetch_one(&mut *self.connection).await
    }

    pub(super) async fn outcomes(&mut self, span: Span) -> sqlx::Result<Outcomes> {
        let query = sqlx::query_as(self.environment.sql(OUTCOMES)).bind(span.first).bind(span.from).bind(span.to);
        let (successful, picked, other, transactions, seconds) = query.fetch_one(&mut *self.connection).await?;
        Ok(Outcomes { successful, picked, other, transactions, seconds })
    }

    /// The 50th, 95th and 99th percentiles of the time between these two states, in milliseconds.
    pub(super) async fn times(&mut self, span: Span, from: &str, to: &str) -> sqlx::Result<[Option<f64>; 3]> {
        let query = sqlx::query_scalar(self.environment.sql(TIMES))
            .bind(span.first)
            .bind(span.from)
            .bind(span.to)
            .bind(to)
            .bind(from);
        let times: Option<Vec<f64>> = query.fetch_one(&mut *self.connection).await?;
        let at = |index: usize| times.as_ref()?.get(index).copied();
        Ok([at(0), at(1), at(2)])
    }

    /// The first unwanted outcome.
    pub(super) async fn failure(&mut self) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(self.environment.sql(FAILURE)).fetch_optional(&mut *self.connection).await
    }

    /// How many row versions were replaced or removed, once at least `removed` are known to be
    /// removed. Call it after the workers have ended.
    pub(super) async fn dead_tuples(&mut self, removed: i64) -> sqlx::Result<Option<i64>> {
        let deadline = Instant::now() + STATISTICS_TIMEOUT;
        loop {
            let query = sqlx::query_as(DEAD).bind(self.environment.schema());
            let (dead, gone): (i64, i64) = query.fetch_one(&mut *self.connection).await?;
            if gone >= removed {
                return Ok(Some(dead));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Aggregate the whole log into the statistics, as hosts do. Returns how many rows that
    /// replaced or removed.
    pub(super) async fn aggregate(&mut self) -> anyhow::Result<i64> {
        let pool = Database::from(self.environment.source().clone()).connect().await?;
        let worker = Queue::new(pool.clone(), self.environment.names().clone());
        let mut changed = 0;
        loop {
            let counted = worker.aggregate(AGGREGATED_AT_ONCE, AGGREGATED_AT_ONCE).await?;
            changed += i64::try_from(counted.logged + counted.tallied)?;
            if counted.is_nothing() {
                break;
            }
        }
        pool.close().await;
        Ok(changed)
    }
}

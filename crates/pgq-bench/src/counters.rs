//! What the database counts: bytes of its log, row versions left for vacuum, and what the queue's
//! own log says of jobs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::environment::Environment;
use pgq_queue::{Database, Queue};

const WAL: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
const NOW: &str = "SELECT clock_timestamp()";
/// What the log's numbers have come to: no scan, however long the log is.
const LOGGED: &str = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('{log}', 'id')::regclass), 0)";
const DEAD: &str = "
SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint, coalesce(sum(n_tup_del), 0)::bigint
FROM pg_stat_all_tables WHERE schemaname = $1";
const SEEN: &str = "SELECT count(*) FROM {host}";

/// Each write of a worker is a transaction of its own, whose number its log rows bear.
const OUTCOMES: &str = "
SELECT count(*) FILTER (WHERE status = 'successful') AS successful,
       count(*) FILTER (WHERE status = 'picked') AS picked,
       count(*) FILTER (WHERE status NOT IN ('queued', 'picked', 'successful')) AS other,
       count(DISTINCT xmin::text) FILTER (WHERE status <> 'queued') AS transactions,
       extract(epoch FROM max(created) FILTER (WHERE status = 'successful') - min(created) FILTER (WHERE status = 'picked'))::float8 AS seconds
FROM {log} WHERE job_id >= $1 AND created >= $2 AND created < $3";

/// Grouped, not joined with itself: nobody has told the planner yet how long the log is, and it
/// would look each job up by itself.
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
/// A backend tells what it did when it ends; the one that collects it takes a moment.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the log says of some jobs.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) successful: i64,
    pub(super) picked: i64,
    pub(super) other: i64,
    pub(super) transactions: i64,
    /// From the first claim to the last outcome.
    pub(super) seconds: Option<f64>,
}

/// Jobs from this id on, and what was logged of them within these times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
}

impl Span {
    /// All that is logged of jobs from this id on.
    pub(super) fn all(first: i64) -> Span {
        Span { first, from: DateTime::UNIX_EPOCH, to: DateTime::UNIX_EPOCH + chrono::TimeDelta::days(100_000) }
    }
}

/// The database's view, over one connection.
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

    /// Rows that the log ever had.
    pub(super) async fn logged(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(self.environment.sql(LOGGED)).fetch_one(&mut *self.connection).await
    }

    /// Hosts that have announced themselves.
    pub(super) async fn hosts(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(self.environment.sql(SEEN)).fetch_one(&mut *self.connection).await
    }

    pub(super) async fn outcomes(&mut self, span: Span) -> sqlx::Result<Outcomes> {
        let query = sqlx::query_as(self.environment.sql(OUTCOMES)).bind(span.first).bind(span.from).bind(span.to);
        let (successful, picked, other, transactions, seconds) = query.fetch_one(&mut *self.connection).await?;
        Ok(Outcomes { successful, picked, other, transactions, seconds })
    }

    /// 50, 95 and 99 percent of jobs took at most so many milliseconds between these two states.
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

    /// The first outcome that is none we wanted.
    pub(super) async fn failure(&mut self) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar(self.environment.sql(FAILURE)).fetch_optional(&mut *self.connection).await
    }

    /// Row versions that were replaced or removed, once at least so many are known to be removed.
    /// The workers have ended.
    pub(super) async fn dead_tuples(&mut self, removed: i64) -> sqlx::Result<Option<i64>> {
        let deadline = Instant::now() + PATIENCE;
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

    /// Count the whole log into the statistics, as a host does now and then; how many rows that
    /// replaced or removed.
    pub(super) async fn aggregate(&mut self) -> anyhow::Result<i64> {
        let pool = Database::from(self.environment.options().clone()).connect().await?;
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

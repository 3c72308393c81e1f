//! What the queue's tables say about the demo's jobs. A user could send the same statements.

use std::collections::HashMap;

use pgq_job::JobId;
use pgq_queue::names::Names;
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr as _, SqlStr};

use crate::order::ENTRYPOINTS;

/// A job that is requeued after a failure has a traceback in its `queued` row.
const STANDINGS: &str = "
WITH waiting AS (
    SELECT entrypoint, count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'picked') AS running,
           count(*) FILTER (WHERE status = 'failed') AS held
    FROM {queue} GROUP BY entrypoint
), past AS (
    SELECT entrypoint, count(*) FILTER (WHERE status = 'successful') AS done,
           count(*) FILTER (WHERE status = 'queued' AND traceback IS NOT NULL) AS retried
    FROM {log} GROUP BY entrypoint
)
SELECT coalesce(queued, 0), coalesce(running, 0), coalesce(held, 0), coalesce(done, 0), coalesce(retried, 0)
FROM unnest($1::text[]) WITH ORDINALITY AS wanted(entrypoint, ord) LEFT JOIN waiting USING (entrypoint) LEFT JOIN past USING (entrypoint)
ORDER BY ord";

/// The run that succeeded started with the last claim before it.
const SPEEDS: &str = "
WITH run AS (
    SELECT done.entrypoint, done.created AS ended, max(picked.created) AS began
    FROM {log} AS done JOIN {log} AS picked ON picked.job_id = done.job_id AND picked.status = 'picked' AND picked.id < done.id
    WHERE done.status = 'successful' GROUP BY done.id
)
SELECT entrypoint, percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM ended - began)::float8),
       (count(*) / greatest(extract(epoch FROM max(ended) - min(began)), 0.001))::float8
FROM run GROUP BY entrypoint";

const OUTPUTS: &str = "SELECT job_id, output FROM {output}";

const HELD: &str = "
SELECT DISTINCT ON (q.id) q.id::bigint, l.traceback ->> 'exception_message'
FROM {queue} AS q JOIN {log} AS l ON l.job_id = q.id AND l.status = 'failed'
WHERE q.status = 'failed' ORDER BY q.id, l.id DESC";

pub(crate) struct Ledger {
    pool: PgPool,
    standings: SqlStr,
    speeds: SqlStr,
    outputs: SqlStr,
    held: SqlStr,
    clear: SqlStr,
}

/// How many jobs of an entrypoint are in which state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    pub(crate) entrypoint: &'static str,
    pub(crate) queued: usize,
    pub(crate) running: usize,
    pub(crate) held: usize,
    pub(crate) done: usize,
    /// Runs that failed and were retried.
    pub(crate) retried: usize,
}

impl Standing {
    pub(crate) fn ended(&self) -> usize {
        self.done + self.held
    }
}

/// Statistics on the completed jobs of an entrypoint. Times are in seconds, from claim to outcome.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Speed {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    /// Jobs per second, from the first claim to the last outcome.
    pub(crate) rate: f64,
}

impl Ledger {
    pub(crate) fn new(pool: PgPool, names: &Names) -> Ledger {
        let render = |sql: &str| AssertSqlSafe(names.render(sql)).into_sql_str();
        let (standings, speeds, outputs, held) = (render(STANDINGS), render(SPEEDS), render(OUTPUTS), render(HELD));
        Ledger { pool, standings, speeds, outputs, held, clear: render("TRUNCATE {queue}, {log}, {output}") }
    }

    /// Empty the tables. The database is the demo's own, but an earlier demo may have used it.
    pub(crate) async fn clear(&self) -> sqlx::Result<()> {
        sqlx::query(self.clear.clone()).execute(&self.pool).await.map(drop)
    }

    /// In the order of [`ENTRYPOINTS`].
    pub(crate) async fn standings(&self) -> sqlx::Result<Vec<Standing>> {
        let rows: Vec<(i64, i64, i64, i64, i64)> =
            sqlx::query_as(self.standings.clone()).bind(ENTRYPOINTS.to_vec()).fetch_all(&self.pool).await?;
        let count = |count: i64| usize::try_from(count).unwrap_or(0);
        let standing = |(entrypoint, (queued, running, held, done, retried))| Standing {
            entrypoint,
            queued: count(queued),
            running: count(running),
            held: count(held),
            done: count(done),
            retried: count(retried),
        };
        Ok(ENTRYPOINTS.into_iter().zip(rows).map(standing).collect())
    }

    pub(crate) async fn speeds(&self) -> sqlx::Result<HashMap<String, Speed>> {
        let rows: Vec<(String, Vec<f64>, f64)> = sqlx::query_as(self.speeds.clone()).fetch_all(&self.pool).await?;
        let speed = |times: &[f64], rate| Speed { p50: times[0], p95: times[1], rate };
        Ok(rows.into_iter().map(|(entrypoint, times, rate)| (entrypoint, speed(&times, rate))).collect())
    }

    pub(crate) async fn outputs(&self) -> sqlx::Result<HashMap<JobId, Vec<u8>>> {
        let rows: Vec<(JobId, Vec<u8>)> = sqlx::query_as(self.outputs.clone()).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }

    /// The reasons why jobs are held.
    pub(crate) async fn held(&self) -> sqlx::Result<HashMap<JobId, String>> {
        let rows: Vec<(JobId, String)> = sqlx::query_as(self.held.clone()).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }
}

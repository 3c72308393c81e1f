//! How much is in the queue, for metrics: asked by one host at a time, however many are asked.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::Queue;
use super::text::text;

/// Of the hosts that announced themselves lately, it is the turn of the one that has been there longest: the others' answer is no row,
/// and costs no look at the queue. Entrypoints are what producers write: the longest queues are told, and no more than a page holds.
pub(super) const DEPTH: &str = "
WITH turn AS MATERIALIZED (
    SELECT id = $1 AS mine FROM {host} WHERE seen > now() - $2 * interval '1 second' ORDER BY started, id LIMIT 1
)
SELECT q.entrypoint,
       count(*) FILTER (WHERE q.status = 'queued' AND q.execute_after <= now()) AS due,
       count(*) FILTER (WHERE q.status = 'queued' AND q.execute_after > now()) AS deferred,
       count(*) FILTER (WHERE q.status = 'picked') AS running,
       count(*) FILTER (WHERE q.status = 'failed') AS held,
       coalesce(extract(epoch FROM now() - min(greatest({time:q.execute_after}, least({time:q.created}, now())))
           FILTER (WHERE q.status = 'queued' AND q.execute_after <= now())), 0)::float8 AS oldest_seconds
FROM {queue} AS q
WHERE (SELECT mine FROM turn)
GROUP BY q.entrypoint ORDER BY count(*) DESC LIMIT 200";

/// What the queue holds of one entrypoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// Its name.
    pub entrypoint: String,
    /// Jobs that could run now.
    pub due: i64,
    /// Jobs whose time has not come.
    pub deferred: i64,
    /// Jobs that a worker holds.
    pub running: i64,
    /// Jobs that failed for good and are kept.
    pub held: i64,
    /// How long the job that is due longest has waited.
    pub oldest_seconds: f64,
}

impl FromRow<'_, PgRow> for Depth {
    fn from_row(row: &PgRow) -> sqlx::Result<Depth> {
        Ok(Depth {
            entrypoint: text(row, "entrypoint")?,
            due: row.try_get("due")?,
            deferred: row.try_get("deferred")?,
            running: row.try_get("running")?,
            held: row.try_get("held")?,
            oldest_seconds: row.try_get("oldest_seconds")?,
        })
    }
}

impl Queue {
    /// What the queue holds, or nothing where it is another host's turn to say so. A host is there that announced itself within so many
    /// seconds.
    pub async fn depth(&self, announced_within: f64) -> sqlx::Result<Vec<Depth>> {
        if self.sql.lacking.hosts {
            return Ok(Vec::new());
        }
        sqlx::query_as(self.sql.depth.clone()).bind(self.me).bind(announced_within).fetch_all(&self.pool).await
    }
}

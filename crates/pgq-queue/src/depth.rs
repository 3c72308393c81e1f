//! How much is in the queue, for metrics: asked by one host at a time, however many are asked.

use sqlx::FromRow;

use super::Queue;
use super::text::Lossy;

/// What the queue holds of one entrypoint.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Depth {
    #[sqlx(try_from = "Lossy")]
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

impl Queue {
    /// What the queue holds, or nothing where it is another host's turn to say so. A host is there
    /// that announced itself within so many seconds.
    pub async fn depth(&self, announced_within: f64) -> sqlx::Result<Vec<Depth>> {
        if !self.sql.features.hosts {
            return Ok(Vec::new());
        }
        sqlx::query_as(self.sql.depth.clone()).bind(self.me).bind(announced_within).fetch_all(&self.pool).await
    }
}

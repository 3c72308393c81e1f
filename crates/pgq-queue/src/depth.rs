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
    /// How long ago the job was claimed that runs longest.
    pub oldest_running_seconds: f64,
    /// How long the job has been held that is held longest.
    pub oldest_held_seconds: f64,
}

/// Whether the queue is kept up.
#[derive(Debug, Clone, Copy, PartialEq, FromRow)]
pub struct QueueHealth {
    /// How long the tick of a schedule has been overdue, in seconds.
    pub schedules_lag: f64,
    /// How long something has been logged and not counted, in seconds.
    pub statistics_lag: f64,
    /// Hosts that are there.
    pub alive: i64,
    /// Hosts that died in the last ten minutes, or do not announce themselves any more.
    pub died: i64,
}

/// What was counted lately of one entrypoint and status.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LogsCount {
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    pub status: String,
    pub count: i64,
}

/// Rows of the statistics that are looked at for the last five minutes.
const MOST_COUNTED: i64 = 20_000;

impl Queue {
    /// What the queue holds, or nothing where it is another host's turn to say so. A host is there
    /// that announced itself within so many seconds.
    pub async fn depth(&self, announced_within: f64) -> sqlx::Result<Vec<Depth>> {
        if !self.sql.features.hosts {
            return Ok(Vec::new());
        }
        sqlx::query_as(self.sql.depth.clone()).bind(self.me).bind(announced_within).fetch_all(&self.pool).await
    }

    /// Whether the queue is kept up, or nothing where it is another host's turn to say so.
    pub async fn health(&self, announced_within: f64) -> sqlx::Result<Option<QueueHealth>> {
        if !self.sql.features.hosts {
            return Ok(None);
        }
        let query = sqlx::query_as(self.sql.queue_health.clone()).bind(self.me).bind(announced_within);
        query.fetch_optional(&self.pool).await
    }

    /// What was counted in the last five minutes, or nothing where it is another host's turn to say
    /// so.
    pub async fn logs_count(&self, announced_within: f64) -> sqlx::Result<Vec<LogsCount>> {
        if !self.sql.features.hosts {
            return Ok(Vec::new());
        }
        let query = sqlx::query_as(self.sql.logs_count.clone()).bind(self.me).bind(announced_within);
        query.bind(MOST_COUNTED).fetch_all(&self.pool).await
    }

    /// Ask the database for nothing.
    pub async fn round_trip(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1").fetch_one(&self.pool).await.map(drop)
    }
}

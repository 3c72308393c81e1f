//! How many jobs the queue holds.

use std::time::Duration;

use serde::Serialize;
use sqlx::FromRow;

use crate::Operator;
use crate::text::Lossy;

/// Counts every job of the queue.
const WITHIN: Duration = Duration::from_secs(10);

/// Jobs of one entrypoint, status and priority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct QueueSize {
    pub count: i64,
    #[sqlx(try_from = "Lossy")]
    pub entrypoint: String,
    pub priority: i32,
    pub status: String,
}

impl Operator {
    /// How many jobs the queue holds, in groups, the smallest first.
    pub async fn queue_size(&self) -> sqlx::Result<Vec<QueueSize>> {
        let query = sqlx::query_as(self.sql(include_str!("../sql/operator/queue_size.sql"))).persistent(false);
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

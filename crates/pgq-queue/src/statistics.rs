//! PgQueuer's statistics: the log, counted per second, entrypoint, priority and status.
//!
//! The statements that claim and finish jobs count what they log, into the tally. The rest of the
//! log (producers, PgQueuer's workers, rare events) is counted row by row, as PgQueuer does it.
//! Aggregation adds up both.

use super::Queue;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// False: another worker is counting.
    pub turn: bool,
    /// Rows of the log that were counted.
    pub logged: usize,
    /// Rows of the tally, each for many rows of the log.
    pub tallied: usize,
}

impl Counted {
    /// Whether there was nothing to count.
    pub fn is_nothing(&self) -> bool {
        self.logged + self.tallied == 0
    }
}

impl Queue {
    /// Resolves when this worker has added to the tally since the last call.
    pub async fn tallied(&self) {
        self.tallied.notified().await;
    }

    /// Count up to this many rows of the log, and of the tally, that are not counted yet.
    pub async fn aggregate(&self, logged: usize, tallied: usize) -> sqlx::Result<Counted> {
        let most = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let (turn, logged, tallied): (bool, i64, i64) = sqlx::query_as(self.sql.aggregate.clone())
            .bind(most(logged))
            .bind(most(tallied))
            .fetch_one(&self.pool.patient())
            .await?;
        Ok(Counted {
            turn,
            logged: usize::try_from(logged).unwrap_or(0),
            tallied: usize::try_from(tallied).unwrap_or(0),
        })
    }
}

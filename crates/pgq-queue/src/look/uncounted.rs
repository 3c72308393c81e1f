//! Rows of the log that nobody counts.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::statements;
use crate::Operator;

const WITHIN: Duration = Duration::from_secs(5);
/// Rows of the log that are looked at for the oldest that is not counted.
const MOST_UNCOUNTED: i64 = 1_000;

impl Operator {
    /// Since about when something is logged that is not in PgQueuer's statistics. `None`: all of it
    /// is.
    pub(super) async fn uncounted_since(&self) -> sqlx::Result<Option<DateTime<Utc>>> {
        let sql = self.sql_with(statements::UNCOUNTED, self.features().await?);
        let query = sqlx::query_as(sql).persistent(false).bind(MOST_UNCOUNTED);
        let (logged, tallied): (Option<DateTime<Utc>>, Option<DateTime<Utc>>) =
            self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_one(transaction).await })).await?;
        Ok([logged, tallied].into_iter().flatten().min())
    }
}

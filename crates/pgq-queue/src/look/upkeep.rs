//! What keeps the database from being kept up: rows that nobody counts, and transactions that stay
//! open.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::statements;
use crate::Operator;
use crate::millis::millis;
use crate::text::{optional_text, text};

const WITHIN: Duration = Duration::from_secs(5);
/// Rows of the log that are looked at for the oldest that is not counted.
const MOST_UNCOUNTED: i64 = 1_000;

/// A transaction that has been open for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenTransaction {
    pub(super) pid: i32,
    pub(super) application: String,
    pub(super) role: Option<String>,
    pub(super) state: Option<String>,
    pub(super) since: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for OpenTransaction {
    fn from_row(row: &PgRow) -> sqlx::Result<OpenTransaction> {
        Ok(OpenTransaction {
            pid: row.try_get("pid")?,
            application: text(row, "application")?,
            role: optional_text(row, "role")?,
            state: optional_text(row, "state")?,
            since: row.try_get("since")?,
        })
    }
}

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

    /// Transactions of this database that have been open for longer than this, as far as the role
    /// may see them.
    pub(super) async fn open_transactions(&self, longer: Duration) -> sqlx::Result<Vec<OpenTransaction>> {
        let query = sqlx::query_as(self.sql(include_str!("../sql/operator/long_transactions.sql")));
        let query = query.persistent(false).bind(millis(longer));
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

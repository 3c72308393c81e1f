//! Transactions that stay open: they hold back vacuum, or hold locks.

use std::time::Duration;

use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::statements;
use crate::Operator;
use crate::millis::millis;
use crate::text::{optional_text, text};

const WITHIN: Duration = Duration::from_secs(5);
const MOST: i64 = 20;

/// A transaction that has been open for too long.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct OpenTransaction {
    /// The server's process; `None`: a prepared transaction.
    pub pid: Option<i32>,
    pub role: Option<String>,
    /// What the session calls itself; of a prepared transaction, its name.
    pub application: String,
    pub address: Option<String>,
    /// `active`, `idle in transaction`, `prepared` and so on.
    pub state: Option<String>,
    pub open_seconds: i64,
    /// Since when it does nothing.
    pub idle_seconds: Option<i64>,
    /// Whether dead rows pile up because of it. Otherwise it may hold locks, for which others wait.
    pub holds_back: bool,
}

impl OpenTransaction {
    /// Whose it is.
    pub fn who(&self) -> String {
        let role = self.role.as_deref().unwrap_or("?");
        let Some(pid) = self.pid else { return format!("{} of role {role}", self.application) };
        let from = self.address.as_deref().map(|address| format!("from {address}"));
        let application = Some(self.application.clone()).filter(|name| !name.is_empty());
        let session: Vec<String> = application.into_iter().chain(from).collect();
        let session = if session.is_empty() { String::new() } else { format!(" ({})", session.join(", ")) };
        format!("process {pid}{session} of role {role}")
    }

    /// What is wrong, for whoever reads of it first.
    pub fn what(&self) -> String {
        let prepared = if self.pid.is_none() { "prepared " } else { "" };
        format!("the {prepared}transaction of {} is open", self.who())
    }

    /// What is bad about it.
    pub fn why(&self) -> String {
        format!("it is {}, and {}", self.state.as_deref().unwrap_or("open"), self.harm())
    }

    /// What it does to the queue.
    pub fn harm(&self) -> &'static str {
        match self.holds_back {
            true => "rows of jobs that ended since then cannot be removed: claims read past them, and slow down",
            false => "it may hold locks for which others wait",
        }
    }

    /// The statement that ends it.
    pub fn remedy(&self) -> String {
        match self.pid {
            Some(pid) => format!("SELECT pg_terminate_backend({pid});"),
            None => format!("ROLLBACK PREPARED '{}';", self.application.replace('\'', "''")),
        }
    }
}

impl FromRow<'_, PgRow> for OpenTransaction {
    fn from_row(row: &PgRow) -> sqlx::Result<OpenTransaction> {
        let seconds = |ms: i64| ms / 1_000;
        Ok(OpenTransaction {
            pid: row.try_get("pid")?,
            role: optional_text(row, "role")?,
            application: text(row, "application")?,
            address: optional_text(row, "address")?,
            state: optional_text(row, "state")?,
            open_seconds: seconds(row.try_get("open_ms")?),
            idle_seconds: row.try_get::<Option<i64>, _>("idle_ms")?.map(seconds),
            holds_back: row.try_get("holds_back")?,
        })
    }
}

impl Operator {
    /// Those that have been open for longer than this, the oldest first, as far as the role may see
    /// them.
    pub(super) async fn open_transactions(&self, longer: Duration) -> sqlx::Result<Vec<OpenTransaction>> {
        let query = sqlx::query_as(self.sql(statements::OPEN_TRANSACTIONS)).persistent(false);
        let query = query.bind(millis(longer)).bind(MOST);
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

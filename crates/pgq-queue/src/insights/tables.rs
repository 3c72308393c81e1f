//! PgQueuer's tables.

use std::time::Duration;

use serde::Serialize;
use sqlx::FromRow;

use crate::Operator;

const WITHIN: Duration = Duration::from_secs(5);

/// One of the four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct TableInfo {
    pub table_name: String,
    /// `LOGGED`, or `UNLOGGED`: emptied by a crash of the server.
    pub persistence: String,
    /// As of the last time it was analysed; -1: never.
    pub estimated_rows: i64,
    pub total_size: String,
}

impl Operator {
    /// Those that there are.
    pub async fn table_info(&self) -> sqlx::Result<Vec<TableInfo>> {
        let names = self.names();
        let tables = [&names.queue_table, &names.log_table, &names.statistics_table, &names.schedules_table];
        let query = sqlx::query_as(self.sql(include_str!("../sql/operator/table_info.sql"))).persistent(false);
        let query = query.bind(names.schema.clone()).bind(tables.map(Clone::clone).to_vec());
        self.read(WITHIN, |transaction| Box::pin(async move { query.fetch_all(transaction).await })).await
    }
}

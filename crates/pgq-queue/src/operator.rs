//! The queue as an operator's command or a dashboard sees it: looks at it, and changes single jobs
//! by hand. No worker's statement is here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr as _, SqlStr};
use tokio::sync::OnceCell;

use super::look::{Hour, Masks};
use super::millis::millis;
use super::template::{self, Form};
use super::{Pool, SchemaFeatures};
use crate::names::Names;

/// Unlike [`Queue`](super::Queue) it claims nothing, so it has no worker's id and holds no
/// statements: a command sends one or two.
#[derive(Debug, Clone)]
pub struct Operator {
    pub(super) pool: Pool,
    names: Arc<Names>,
    features: Arc<OnceCell<SchemaFeatures>>,
    /// What the last looks read of the last hour.
    pub(super) hour: Arc<Hour>,
    /// What is not shown of payloads and outputs.
    pub(super) masks: Arc<Masks>,
}

impl Operator {
    /// Of the queue of these names.
    pub fn new(pool: impl Into<Pool>, names: Names) -> Operator {
        Operator {
            pool: pool.into(),
            names: Arc::new(names),
            features: Arc::default(),
            hour: Arc::default(),
            masks: Arc::default(),
        }
    }

    /// The same, which shows nobody these fields.
    pub fn masking(self, masks: Masks) -> Operator {
        Operator { masks: Arc::new(masks), ..self }
    }

    /// The names it works with.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Which additions to the schema the database has. Asked once.
    pub async fn features(&self) -> sqlx::Result<SchemaFeatures> {
        let asked = || async {
            let sql = self.sql(include_str!("sql/worker/schema_features.sql"));
            sqlx::query_as(sql).persistent(false).fetch_one(&self.pool).await
        };
        self.features.get_or_try_init(asked).await.copied()
    }

    /// The statement of a file of `sql/operator`, for these names.
    pub(super) fn sql(&self, file: &str) -> SqlStr {
        self.sql_with(file, SchemaFeatures::ALL)
    }

    /// The same for a database that has these additions.
    pub(super) fn sql_with(&self, file: &str, features: SchemaFeatures) -> SqlStr {
        AssertSqlSafe(template::render(file, &self.names, Form { features, marked: true })).into_sql_str()
    }

    /// Read in a transaction in which no statement takes longer than this, with the indexes of
    /// block ranges. Nobody's look at the queue may cost the queue much.
    pub(super) async fn read<T, F>(&self, within: Duration, work: F) -> sqlx::Result<T>
    where
        T: Send,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<T>> + Send + 'static,
    {
        let limits = AssertSqlSafe(format!(
            "SET TRANSACTION READ ONLY; SET LOCAL enable_bitmapscan = on; SET LOCAL statement_timeout = {}",
            millis(within)
        ));
        self.pool
            .transaction(|transaction| {
                Box::pin(async move {
                    sqlx::raw_sql(limits).execute(&mut *transaction).await?;
                    work(transaction).await
                })
            })
            .await
    }
}

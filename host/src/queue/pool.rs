//! Where statements go: to sessions of our own; or, behind a pooler in transaction mode, to whichever session it lends for a transaction.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Either, Execute, Executor, PgPool, SqlSafeStr as _, SqlStr, Transaction};

use super::connection::settings;

/// Statements are sent to it as to sqlx's own pool, and need not know which of the two it is.
#[derive(Debug, Clone)]
pub struct Pool {
    connections: PgPool,
    by_transaction: bool,
}

impl From<PgPool> for Pool {
    fn from(connections: PgPool) -> Pool {
        Pool { connections, by_transaction: false }
    }
}

impl Pool {
    /// Of connections to a pooler. Each statement is a transaction that brings its planner's settings along: preparing and executing it
    /// are two messages, and between them the pooler would lend the session to somebody else.
    pub(crate) fn by_transaction(connections: PgPool) -> Pool {
        Pool { connections, by_transaction: true }
    }

    /// For several statements. They must not be `persistent`, since a prepared statement stays behind in a session that was lent.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        if self.by_transaction { self.connections.begin_with(begin()).await } else { self.connections.begin().await }
    }

    /// Wait until all connections are closed.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

/// One message, and gone with the transaction.
fn begin() -> SqlStr {
    AssertSqlSafe(format!("BEGIN; {}", settings(true))).into_sql_str()
}

type Results<'e> = BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>;

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if !self.by_transaction {
            return self.connections.fetch_many(query);
        }
        // No answer is passed on before it is committed.
        let answers = async move {
            let mut transaction = self.begin().await?;
            let answers: Vec<_> = transaction.fetch_many(Unnamed(query)).try_collect().await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(stream::iter(answers.into_iter().map(Ok)))
        };
        stream::once(answers).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.fetch(query).boxed().into_future().map(|(first, _)| first.transpose()).boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        self.connections.prepare_with(sql, parameters)
    }
}

/// A statement that leaves nothing behind in its session.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

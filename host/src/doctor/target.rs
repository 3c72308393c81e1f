//! The database being checked, through transactions that change nothing and wait for no lock.

use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Postgres, SqlSafeStr as _, SqlStr, Transaction};

use super::deployment::Deployment;
use pgq_queue::{AS_BYTES, Operator, Pool, Reach};

/// One for the listener, and two that run statements at the same time.
const MAX_CONNECTIONS: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);

const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY";

/// A database that answers.
pub(super) struct Target<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) pool: PgPool,
    /// The pool's sessions come from there.
    _reach: Reach,
    /// The role that is checked.
    pub(super) role: String,
    pub(super) me: String,
    pub(super) database: String,
}

impl<'a> Target<'a> {
    pub(super) async fn connect(deployment: &'a Deployment) -> sqlx::Result<Target<'a>> {
        let reach = deployment.database.reach(TIMEOUT).await?;
        let options = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(TIMEOUT);
        let pool = options.connect_lazy_with(reach.options.clone());
        let mut read_only = begin(&pool).await?;
        // Behind a pooler, a named prepared statement stays in a session that somebody else gets
        // next.
        let who = sqlx::query_as("SELECT current_user::text, current_database()::text").persistent(false);
        let (me, database): (String, String) = who.fetch_one(&mut *read_only).await?;
        read_only.rollback().await?;
        let role = deployment.role.clone().unwrap_or_else(|| me.clone());
        Ok(Target { deployment, pool, _reach: reach, role, me, database })
    }

    /// A read-only transaction with short timeouts.
    pub(super) async fn read_only(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        begin(&self.pool).await
    }

    /// The same without timeouts, for reading the timeouts themselves.
    pub(super) async fn read_only_unbounded(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin_with(BEGIN).await
    }

    /// Render a statement with the queue's names.
    pub(super) fn sql(&self, template: &str) -> SqlStr {
        AssertSqlSafe(self.deployment.names.render(template)).into_sql_str()
    }

    /// The queue, as commands use it.
    pub(super) fn operator(&self) -> Operator {
        Operator::new(Pool::by_transaction(&self.pool), self.deployment.names.clone())
    }

    /// A command of this program for this queue.
    pub(super) fn command(&self, verb: &str) -> String {
        format!("pgq-host{} {verb}", self.deployment.flags)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut read_only = pool.begin_with(BEGIN).await?;
    let bounds = "SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '1s'";
    read_only.execute(AssertSqlSafe(format!("{bounds}; {}", AS_BYTES.replace("{local}", "true")))).await?;
    Ok(read_only)
}

/// Quote a name for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quote a word for a shell.
pub(super) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_sql_and_for_a_shell() {
        assert_eq!(quoted("o\"b"), "\"o\"\"b\"");
        assert_eq!((shell("worker"), shell("o'brien $x")), ("worker".to_owned(), "'o'\\''brien $x'".to_owned()));
    }
}

//! Runs one statement of a schema change on a live database without standing in the workers' way.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::error::SchemaError;

/// How long a statement may queue for a table's lock. Everything that wants the table afterwards
/// queues behind it, so this is also how long enqueues and claims may stand still because of
/// somebody's long transaction.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0";
/// How often the lock is tried for, with [`PAUSE`] in between for the jobs to go on.
const ATTEMPTS: u32 = 15;
const PAUSE: Duration = Duration::from_secs(1);

/// Run a statement in a transaction of its own, trying again when its lock is not to be had.
pub(super) async fn run_patiently(conn: &mut PgConnection, statement: &str) -> Result<(), SchemaError> {
    let mut attempt = 1;
    loop {
        match run_alone(conn, statement).await {
            Ok(()) => return Ok(()),
            Err(source) if !is_contention(&source) => return Err(SchemaError::refused(statement, source)),
            Err(source) if attempt == ATTEMPTS => return Err(SchemaError::busy(statement, source)),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        attempt += 1;
    }
}

async fn run_alone(conn: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    let mut transaction = conn.begin().await?;
    sqlx::raw_sql(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Run a statement in the caller's transaction.
pub(super) async fn run(conn: &mut PgConnection, statement: &str) -> Result<(), SchemaError> {
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn).await;
    done.map(|_| ()).map_err(|source| SchemaError::refused(statement, source))
}

fn is_contention(error: &sqlx::Error) -> bool {
    // lock_not_available, deadlock_detected
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03" || code == "40P01")
}

//! What an `uninstall` would take: the jobs of the queue, and the tables that hosts run on.

use std::fmt;
use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::error::SchemaError;
use crate::names::Names;

/// Enough to know that it matters. A queue may have more rows than anybody waits for.
const MOST_COUNTED: i64 = 1_000_000;

const JOBS: &str = "SELECT count(*) FILTER (WHERE status::text = 'queued'), count(*) FILTER (WHERE status::text = 'picked'), \
    count(*) FILTER (WHERE status::text = 'failed') FROM (SELECT status FROM {queue} LIMIT $1) AS jobs";

const HOSTS: &str = "SELECT count(*) FROM {host} WHERE seen > now() - $1 * interval '1 second'";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Loss {
    pub queued: i64,
    /// Jobs that some worker holds.
    pub running: i64,
    /// Jobs that are held after their last attempt.
    pub failed: i64,
    /// Hosts that announced themselves lately.
    pub hosts: i64,
}

impl Loss {
    /// Nobody would miss it.
    pub fn is_nothing(&self) -> bool {
        *self == Loss::default()
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { queued, running, failed, hosts } = self;
        let least = if queued + running + failed >= MOST_COUNTED { "at least " } else { "" };
        write!(
            f,
            "{least}{queued} queued, {running} running and {failed} failed job(s), and {hosts} host(s) that run on it"
        )
    }
}

/// Look at the tables, as far as they are there. A host that was not seen for longer than `silence`
/// is gone.
pub async fn loss(conn: &mut PgConnection, names: &Names, silence: Duration) -> Result<Loss, SchemaError> {
    let mut loss = Loss::default();
    if is_there(conn, names, "{queue}").await? {
        (loss.queued, loss.running, loss.failed) = sqlx::query_as(AssertSqlSafe(names.render(JOBS)))
            .bind(MOST_COUNTED)
            .fetch_one(&mut *conn)
            .await
            .map_err(refused(JOBS))?;
    }
    if is_there(conn, names, "{host}").await? {
        let hosts = sqlx::query_scalar(AssertSqlSafe(names.render(HOSTS))).bind(silence.as_secs_f64());
        loss.hosts = hosts.fetch_one(&mut *conn).await.map_err(refused(HOSTS))?;
    }
    Ok(loss)
}

async fn is_there(conn: &mut PgConnection, names: &Names, table: &str) -> Result<bool, SchemaError> {
    Ok(sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(names.render(table)).fetch_one(conn).await?)
}

fn refused(sql: &'static str) -> impl Fn(sqlx::Error) -> SchemaError {
    move |error| SchemaError::refused(sql, error)
}

//! Checks whether a connection is one session, or whether a pooler lends it a session per
//! transaction.

use std::collections::BTreeSet;

use sqlx::{Executor as _, PgConnection, Row as _};

use super::finding::{CheckResult, Finding};
use super::target::Target;

const ROUNDS: usize = 5;

/// The check must not set anything to look for later: behind a pooler, it would stay in a session
/// that somebody else gets next. The backend's process id is enough: while another transaction uses
/// it, a pooler has to give us a different one.
pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let mut ours = target.pool.acquire().await?;
    let mut sessions = BTreeSet::new();
    // Which session a pooler lends is its choice and depends on others' statements, so one round
    // may not show it.
    for _ in 0..ROUNDS {
        sessions.insert(process(&mut ours).await?);
        let mut theirs = target.read_only_unbounded().await?;
        let lent = process(&mut theirs).await?;
        sessions.insert(process(&mut ours).await?);
        theirs.rollback().await?;
        if sessions.contains(&lent) || sessions.len() > 1 {
            return Ok(vec![pooled()]);
        }
    }
    Ok(vec![Finding::ok("each connection is a session of its own")])
}

fn pooled() -> Finding {
    let why = "a pooler in transaction mode is in between: LISTEN is lost, so that jobs wait for the next poll; a worker's \
                   planner settings reach others' sessions instead of its own; prepared statements are missing, or belong to another client. Nothing else \
                   about the database was checked";
    let remedy = "use the server's own address in --pg-dsn, or set pool_mode = session in pgbouncer.ini for this database or user";
    Finding::error("statements of one connection ran in several sessions", why, remedy)
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Not prepared: a statement prepared in one session does not exist in the next.
    connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)
}

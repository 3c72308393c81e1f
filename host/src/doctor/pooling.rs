//! Whether a connection is a session of its own, or a pooler lends it a session per transaction.

use std::collections::BTreeSet;

use sqlx::{Executor as _, PgConnection, Row as _};

use super::finding::{Finding, Seen};
use super::target::Target;

const ROUNDS: usize = 5;

/// No setting is made to be looked for afterwards: behind a pooler it would stay in a session that
/// is somebody else's next. The session's process tells as much: while another transaction has it,
/// a pooler has to give us another.
pub(super) async fn check(target: &Target<'_>) -> Seen {
    let mut ours = target.pool.acquire().await?;
    let mut sessions = BTreeSet::new();
    // Which session a pooler lends is its choice, and others' statements are in the way of it: one
    // round may look like none.
    for _ in 0..ROUNDS {
        sessions.insert(process(&mut ours).await?);
        let mut theirs = target.look_unbounded().await?;
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
    let why = "there is a pooler in between that lends sessions per transaction: LISTEN is lost, so that jobs wait for the next poll; the \
        planner settings of a worker reach others' sessions and not its own; prepared statements are missing, or another's. Nothing else \
        of the database was looked at";
    let remedy =
        "name the server itself in --pg-dsn, or pool_mode = session in pgbouncer.ini for this database or user";
    Finding::error("statements of one connection ran in several sessions", why, remedy)
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Not prepared: what is prepared in one session is not there in the next.
    connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)
}

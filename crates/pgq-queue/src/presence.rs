//! A worker's sessions show that it lives. Each holds a shared advisory lock on the worker's key,
//! which PostgreSQL releases with the session. A worker is gone when none of its sessions holds the
//! lock: milliseconds after a SIGKILL, since the kernel closes its sockets. One session that is cut
//! means nothing.

use sqlx::{AssertSqlSafe, FromRow, SqlSafeStr as _, SqlStr};
use uuid::Uuid;

/// The key of a worker's lock. All but two of its bits are random, so that it meets no other
/// worker's key and no application's.
pub(super) fn key(worker: Uuid) -> i64 {
    worker.as_u64_pair().1.cast_signed()
}

/// What a session of a worker does first. It waits only for `find_gone_workers` of another worker,
/// which ends at once.
pub(super) fn lock(worker: Uuid) -> SqlStr {
    AssertSqlSafe(format!("SELECT pg_advisory_lock_shared({})", key(worker))).into_sql_str()
}

/// An announced worker, as `find_gone_workers` returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(super) struct Peer {
    /// The worker that asks is among them.
    pub(super) id: Uuid,
    /// None of its sessions is left.
    pub(super) gone: bool,
    /// The server's clock, in milliseconds since 1970.
    pub(super) clock_ms: i64,
    /// Milliseconds since the server started.
    pub(super) up_ms: i64,
    /// Whether any other worker may hold a job; the same in all rows.
    pub(super) busy: bool,
    /// Whether an echo was asked for; the same in all rows.
    pub(super) echoes: bool,
}

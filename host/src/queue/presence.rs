//! A worker's sessions as its sign of life: each holds a shared advisory lock on the worker's key, and PostgreSQL lets go of it with the
//! session. A worker is gone when none of its sessions holds the lock, which the kernel of its machine sees to within milliseconds of a
//! SIGKILL; one session that is cut means nothing.

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, Row as _, SqlSafeStr as _, SqlStr};
use uuid::Uuid;

use super::Queue;

/// Who of the announced workers is gone, asked by trying for its lock: a few look-ups in memory per worker and nothing per job. Who gets
/// a dead worker's lock has it until the statement ends. (`pg_locks` would say it too, after copying every lock of the server.) Whether
/// another worker holds any job at all is looked for only where that was asked.
pub(super) const LOOK: &str = "
SELECT id, CASE WHEN id = $1 THEN false ELSE pg_try_advisory_xact_lock(presence) END AS gone,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms,
       (SELECT CASE WHEN $2 THEN EXISTS (SELECT FROM {queue} WHERE status = 'picked' AND queue_manager_id <> $1) ELSE true END) AS busy
FROM {host} WHERE presence IS NOT NULL ORDER BY id";

/// The announcement of a worker that is gone, when nothing is left of it: jobs of entrypoints that we do not serve are others' to put back.
pub(super) const FORGET: &str = "
DELETE FROM {host} WHERE id = $1 AND presence IS NOT NULL AND pg_try_advisory_xact_lock(presence)
AND NOT EXISTS (SELECT FROM {queue} WHERE queue_manager_id = $1 AND status = 'picked')";

/// The key of a worker's lock. All but two bits of it are random, so that no two workers of a database, and nobody else's locks, meet.
pub(super) fn key(worker: Uuid) -> i64 {
    worker.as_u64_pair().1.cast_signed()
}

/// What a session of the worker does before anything else. It waits for nobody longer than for one of the looks above.
pub(super) fn lock(worker: Uuid) -> SqlStr {
    AssertSqlSafe(format!("SELECT pg_advisory_lock_shared({})", key(worker))).into_sql_str()
}

/// An announced worker, as a look finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// Which. The one that looks is among them.
    pub(super) id: Uuid,
    /// None of its sessions lives.
    pub(super) gone: bool,
    /// The server's clock, which all workers share.
    pub(super) clock_ms: i64,
    /// How long the server has been up.
    pub(super) up_ms: i64,
    /// Whether any of the others may hold a job; the same in all rows.
    pub(super) busy: bool,
}

impl FromRow<'_, PgRow> for Peer {
    fn from_row(row: &PgRow) -> sqlx::Result<Peer> {
        Ok(Peer {
            id: row.try_get("id")?,
            gone: row.try_get("gone")?,
            clock_ms: row.try_get("clock_ms")?,
            up_ms: row.try_get("up_ms")?,
            busy: row.try_get("busy")?,
        })
    }
}

impl Queue {
    /// Drop the announcement of a worker that is gone, if none of its jobs is left.
    pub async fn forget(&self, worker: Uuid) -> sqlx::Result<()> {
        sqlx::query(self.sql.forget.clone()).bind(worker).execute(&self.pool).await?;
        Ok(())
    }
}

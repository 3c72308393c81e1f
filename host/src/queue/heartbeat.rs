//! Keeping the leases of running jobs.

use super::Queue;
use crate::job::JobId;

pub(super) const HEARTBEAT: &str = "
UPDATE {queue} SET heartbeat = now()
WHERE id = ANY($1) AND queue_manager_id = $2 AND status = 'picked'
RETURNING id::bigint";

impl Queue {
    /// Renew the leases of these jobs; returns those that are still ours.
    pub async fn heartbeat(&self, ids: &[JobId]) -> sqlx::Result<Vec<JobId>> {
        sqlx::query_scalar(self.sql.heartbeat.clone()).bind(ids).bind(self.me).fetch_all(&self.pool).await
    }
}

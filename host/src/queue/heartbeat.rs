//! Keeping the leases of running jobs.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::Queue;
use crate::job::{Claim, JobId};

/// A row that is locked is passed over instead of waited for: mostly it is our own recorder's, about to write how the job ended, and
/// behind a slow one the leases of all other jobs would run out. It is still ours, and beaten the next time if need be.
pub(super) const HEARTBEAT: &str = "
WITH held AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[]) AS h(id, claimed)
), free AS MATERIALIZED (
    SELECT q.id FROM held CROSS JOIN LATERAL (
        SELECT id FROM {queue}
        WHERE id = ANY (ARRAY[held.id]) AND updated IS NOT DISTINCT FROM held.claimed
          AND queue_manager_id IS NOT DISTINCT FROM $2 AND status IS NOT DISTINCT FROM 'picked'
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS q
), beaten AS (
    UPDATE {queue} AS q SET heartbeat = clock_timestamp() FROM free WHERE q.id = ANY (ARRAY[free.id]) RETURNING q.id
)
SELECT ours.id::bigint AS id, beaten.id IS NOT NULL AS beaten
FROM held JOIN {queue} AS ours ON ours.id = ANY (ARRAY[held.id]) LEFT JOIN beaten ON beaten.id = ours.id
WHERE ours.updated IS NOT DISTINCT FROM held.claimed AND ours.queue_manager_id IS NOT DISTINCT FROM $2
  AND ours.status IS NOT DISTINCT FROM 'picked'";

/// What became of a round of heartbeats.
#[derive(Debug, Default)]
pub struct Beaten {
    /// These leases are renewed.
    pub renewed: Vec<JobId>,
    /// These jobs are still ours, renewed or not.
    pub ours: Vec<JobId>,
}

impl Queue {
    /// Renew the leases under these claims. What is missing from the answer belongs to another worker by now, or to another claim of ours,
    /// or is gone.
    pub async fn heartbeat(&self, claims: &[Claim]) -> sqlx::Result<Beaten> {
        let (ids, claimed): (Vec<JobId>, Vec<DateTime<Utc>>) = claims.iter().map(|claim| (claim.id, claim.at)).unzip();
        let heartbeat = sqlx::query(self.sql.heartbeat.clone()).bind(ids).bind(self.me).bind(claimed);
        let rows = heartbeat.fetch_all(&self.pool).await?;
        let mut beaten = Beaten::default();
        for row in rows {
            let id = row.try_get("id")?;
            if row.try_get("beaten")? {
                beaten.renewed.push(id);
            }
            beaten.ours.push(id);
        }
        Ok(beaten)
    }
}

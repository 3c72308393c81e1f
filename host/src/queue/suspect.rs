//! Jobs that a lost worker held. Any of them may have ended it, and most did not: so they are run apart from the others, and only a job
//! that was running alone is charged with the loss.

use super::Queue;
use crate::job::{Claim, JobId, Suspicion};

/// What a claim is told of a job, as a column of its answer: null, or how it is to be run. Nearly always the table is empty, and one look at
/// that answers for all jobs of the claim.
pub(super) const SUSPICION: &str = "CASE WHEN (SELECT EXISTS (SELECT FROM {suspect})) THEN
           (SELECT CASE WHEN alone THEN 1 + crashes ELSE 0 END FROM {suspect} WHERE job_id = job.id) END AS suspicion";

/// The run begins, if the claim still stands: noted with it, and the lease renewed. The row in the queue is locked first, as in every
/// statement that touches both.
pub(super) const BEGIN: &str = "
WITH ours AS (
    UPDATE {queue} AS q SET heartbeat = clock_timestamp()
    WHERE q.id = $1 AND q.updated IS NOT DISTINCT FROM $2 AND q.queue_manager_id IS NOT DISTINCT FROM $3
      AND q.status IS NOT DISTINCT FROM 'picked'
    RETURNING q.id
)
INSERT INTO {suspect} (job_id, worker, claim, alone) SELECT id, $3, $2, $4 FROM ours
ON CONFLICT (job_id) DO UPDATE SET worker = EXCLUDED.worker, claim = EXCLUDED.claim, alone = EXCLUDED.alone";

/// An outcome was recorded by a host that lives. One that was lost again by now is under another claim, or under none.
pub(super) const CLEAR: &str = "
DELETE FROM {suspect} AS s USING unnest($1::bigint[], $2::timestamptz[]) AS done(id, claimed)
WHERE s.job_id = ANY (ARRAY[done.id]) AND s.claim IS NOT DISTINCT FROM done.claimed";

/// Jobs that are gone: done by a worker that knows nothing of this table, or deleted.
pub(super) const PRUNE: &str = "
DELETE FROM {suspect} AS s WHERE NOT EXISTS (SELECT FROM {queue} WHERE id = s.job_id)";

/// How a claim's answer says it.
pub(super) fn suspicion(column: Option<i32>) -> Option<Suspicion> {
    Some(match u32::try_from(column?).unwrap_or(0) {
        0 => Suspicion::Few,
        more => Suspicion::Alone { crashes: more - 1 },
    })
}

/// The column, where there is the table.
pub(super) fn column(lacking: bool) -> &'static str {
    if lacking { "NULL::int AS suspicion" } else { SUSPICION }
}

impl Queue {
    /// Note that the run of a suspect begins under this claim, and renew its lease. False: the claim is over, and nothing may begin.
    pub async fn begin_suspect(&self, claim: Claim, suspicion: Suspicion) -> sqlx::Result<bool> {
        let alone = matches!(suspicion, Suspicion::Alone { .. });
        let begin = sqlx::query(self.sql.begin_suspect.clone()).bind(claim.id).bind(claim.at).bind(self.me).bind(alone);
        Ok(begin.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// The outcomes of these claims are recorded: their jobs ended no host.
    pub async fn clear_suspects(&self, claims: &[Claim]) -> sqlx::Result<()> {
        let (ids, claimed): (Vec<JobId>, Vec<_>) = claims.iter().map(|claim| (claim.id, claim.at)).unzip();
        sqlx::query(self.sql.clear_suspects.clone()).bind(ids).bind(claimed).execute(&self.pool).await?;
        Ok(())
    }

    /// Forget suspects whose jobs are gone; returns how many there were.
    pub async fn prune_suspects(&self) -> sqlx::Result<u64> {
        if self.sql.lacking.suspects {
            return Ok(0);
        }
        Ok(sqlx::query(self.sql.prune_suspects.clone()).execute(&self.pool).await?.rows_affected())
    }
}

//! Jobs that a lost worker held. Any of them may have ended it, and most did not. They run apart
//! from the others, and only a job that was running alone is charged with the loss.

use super::Queue;
use pgq_job::{Claim, JobId, Suspicion};

/// From the column of a claim.
pub(super) fn suspicion(column: Option<i32>) -> Option<Suspicion> {
    Some(match u32::try_from(column?).unwrap_or(0) {
        0 => Suspicion::Few,
        more => Suspicion::Alone { crashes: more - 1 },
    })
}

impl Queue {
    /// Note that the run of a suspect begins under this claim, and renew its lease. False: the
    /// claim is over, and the run must not begin.
    pub async fn begin_suspect(&self, claim: Claim, suspicion: Suspicion) -> sqlx::Result<bool> {
        let alone = matches!(suspicion, Suspicion::Alone { .. });
        let begin = sqlx::query(self.sql.begin_suspect.clone()).bind(claim.id).bind(claim.at).bind(self.me).bind(alone);
        Ok(begin.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// The outcomes of these claims are recorded: the jobs are no suspects any more.
    pub async fn clear_suspects(&self, claims: &[Claim]) -> sqlx::Result<()> {
        let (ids, claimed): (Vec<JobId>, Vec<_>) = claims.iter().map(|claim| (claim.id, claim.at)).unzip();
        sqlx::query(self.sql.clear_suspects.clone()).bind(ids).bind(claimed).execute(&self.pool).await?;
        Ok(())
    }

    /// Delete suspects whose jobs are gone. Returns how many there were.
    pub async fn prune_suspects(&self) -> sqlx::Result<u64> {
        if !self.sql.features.suspects {
            return Ok(0);
        }
        Ok(sqlx::query(self.sql.prune_suspects.clone()).execute(&self.pool).await?.rows_affected())
    }
}

//! Renewing the leases of running jobs.

use chrono::{DateTime, Utc};
use sqlx::Row as _;

use super::Queue;
use pgq_job::{Claim, JobId};

/// What a renewal found.
#[derive(Debug, Default)]
pub struct Beaten {
    /// Jobs whose leases are renewed.
    pub renewed: Vec<JobId>,
    /// Jobs that are still ours, renewed or not.
    pub ours: Vec<JobId>,
}

impl Queue {
    /// Renew the leases of these claims. A job that is missing from the answer is gone, or under
    /// another claim.
    pub async fn heartbeat(&self, claims: &[Claim]) -> sqlx::Result<Beaten> {
        let (ids, claimed): (Vec<JobId>, Vec<DateTime<Utc>>) = claims.iter().map(|claim| (claim.id, claim.at)).unzip();
        let heartbeat = sqlx::query(self.sql.renew_leases.clone()).bind(ids).bind(self.me).bind(claimed);
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

//! Payloads of jobs that do not run, read and replaced one by one: for whoever seals them anew.

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::text::text;
use super::{AuditId, Operator};
use pgq_job::JobId;

/// The statuses of jobs that do not run.
const STATUSES: [&str; 2] = ["queued", "failed"];

/// A payload, or the beginning of one.
#[derive(Debug, Clone)]
pub struct StoredPayload {
    pub id: JobId,
    pub entrypoint: String,
    /// How many bytes are stored.
    pub bytes: u64,
    pub payload: Vec<u8>,
}

/// One payload in the place of another.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub id: JobId,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

impl Operator {
    /// The payloads of those of these jobs that wait or are held and have one, with so many bytes of
    /// each.
    pub async fn stored_payloads(&self, ids: &[JobId], most: i32) -> sqlx::Result<Vec<StoredPayload>> {
        let query = sqlx::query(self.sql(include_str!("sql/operator/sealed_payloads.sql")))
            .bind(ids.to_vec())
            .bind(STATUSES.map(str::to_owned).to_vec())
            .bind(most);
        let rows = query.persistent(false).fetch_all(&self.pool.for_large()).await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let bytes: i64 = row.try_get("bytes")?;
            Ok(StoredPayload {
                id: row.try_get("id")?,
                entrypoint: text(row, "entrypoint")?,
                bytes: u64::try_from(bytes).unwrap_or_default(),
                payload: row.try_get("payload")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Replace these payloads, as far as they are as they were and their jobs do not run. Returns
    /// those jobs.
    pub async fn replace_payloads(&self, replacements: Vec<Replacement>, audit: AuditId) -> sqlx::Result<Vec<JobId>> {
        let (mut ids, mut digests, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for replacement in replacements {
            ids.push(replacement.id);
            digests.push(Sha256::digest(&replacement.old).to_vec());
            new.push(replacement.new);
        }
        let features = self.features().await?;
        let query = sqlx::query_scalar(self.sql_with(include_str!("sql/operator/reseal.sql"), features))
            .bind(ids)
            .bind(digests)
            .bind(new)
            .bind(STATUSES.map(str::to_owned).to_vec())
            .bind(audit.0);
        query.fetch_all(&self.pool.for_large()).await
    }
}

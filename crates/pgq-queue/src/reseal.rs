//! Payloads of jobs that do not run, and outputs, read and replaced one by one: for whoever seals them
//! anew.

use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::text::text;
use super::{AuditId, Operator};
use pgq_job::JobId;

/// What of a job is read or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// Of those that wait or are held.
    Payloads,
    /// Of all that have one.
    Outputs,
}

/// A payload or an output, or the beginning of one.
#[derive(Debug, Clone)]
pub struct Stored {
    pub id: JobId,
    pub entrypoint: String,
    /// How many bytes are stored.
    pub bytes: u64,
    pub content: Vec<u8>,
}

/// One payload or output in the place of another.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub id: JobId,
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

impl Operator {
    /// What these jobs have, with so many bytes of each. Those that have nothing are left out.
    pub async fn stored(&self, what: Contents, ids: &[JobId], most: i32) -> sqlx::Result<Vec<Stored>> {
        let statement = match what {
            Contents::Payloads => include_str!("sql/operator/contents_of_payloads.sql"),
            Contents::Outputs => include_str!("sql/operator/contents_of_outputs.sql"),
        };
        let query = sqlx::query(self.sql(statement)).bind(ids.to_vec()).bind(most);
        let rows = query.persistent(false).fetch_all(&self.pool.for_large()).await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let bytes: i64 = row.try_get("bytes")?;
            Ok(Stored {
                id: row.try_get("id")?,
                entrypoint: text(row, "entrypoint")?,
                bytes: u64::try_from(bytes).unwrap_or_default(),
                content: row.try_get("content")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The next jobs that have outputs, by their ids.
    pub async fn outputs_after(&self, id: JobId, limit: i64) -> sqlx::Result<Vec<JobId>> {
        let query = sqlx::query_scalar(self.sql(include_str!("sql/operator/outputs_after.sql")));
        query.bind(id).bind(limit).fetch_all(&self.pool).await
    }

    /// Replace these, as far as they are as they were; payloads, as far as their jobs do not run.
    /// Returns those jobs.
    pub async fn replace(
        &self,
        what: Contents,
        replacements: Vec<Replacement>,
        audit: AuditId,
    ) -> sqlx::Result<Vec<JobId>> {
        let (mut ids, mut digests, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for replacement in replacements {
            ids.push(replacement.id);
            digests.push(Sha256::digest(&replacement.old).to_vec());
            new.push(replacement.new);
        }
        let statement = match what {
            Contents::Payloads => include_str!("sql/operator/replace_payloads.sql"),
            Contents::Outputs => include_str!("sql/operator/replace_outputs.sql"),
        };
        let query = sqlx::query_scalar(self.sql_with(statement, self.features().await?))
            .bind(ids)
            .bind(digests)
            .bind(new)
            .bind(audit.0);
        query.fetch_all(&self.pool.for_large()).await
    }
}

//! The whole payload of a job.

use pgq_job::JobId;
use sqlx::Row as _;

use super::statements;
use crate::operator::Operator;
use crate::text::text;

impl Operator {
    /// The whole payload of a job in the queue, which may have none, without what is masked. `None`:
    /// there is no such job.
    pub async fn payload(&self, id: JobId) -> sqlx::Result<Option<Option<Vec<u8>>>> {
        let row = sqlx::query(self.sql(statements::JOB)).persistent(false).bind(id).bind(i32::MAX);
        let Some(row) = row.fetch_optional(&self.pool.for_large()).await? else { return Ok(None) };
        let (payload, entrypoint): (Option<Vec<u8>>, _) = (row.try_get("payload")?, text(&row, "entrypoint")?);
        Ok(Some(payload.map(|payload| self.masks.hide_bytes(&entrypoint, payload))))
    }
}

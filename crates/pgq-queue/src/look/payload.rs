//! The whole payload of a job, or its whole output.

use pgq_job::JobId;
use sqlx::Row as _;

use super::statements;
use crate::operator::Operator;
use crate::text::text;

impl Operator {
    /// The whole payload of a job in the queue, which may have none, without what is masked. `None`:
    /// there is no such job.
    pub async fn payload(&self, id: JobId) -> sqlx::Result<Option<Option<Vec<u8>>>> {
        let found = self.whole_payload(id).await?;
        Ok(found.map(|(payload, entrypoint)| payload.map(|payload| self.masks.hide_bytes(&entrypoint, payload))))
    }

    /// The same as it is stored, with the entrypoint: an envelope has nothing to mask.
    pub async fn whole_payload(&self, id: JobId) -> sqlx::Result<Option<(Option<Vec<u8>>, String)>> {
        self.whole(statements::JOB, "payload", id).await
    }

    /// The whole output of a job that has left one, as it is stored, with the entrypoint.
    pub async fn whole_output(&self, id: JobId) -> sqlx::Result<Option<(Option<Vec<u8>>, String)>> {
        self.whole(statements::JOB_OUTPUT, "output", id).await
    }

    async fn whole(
        &self,
        statement: &'static str,
        column: &str,
        id: JobId,
    ) -> sqlx::Result<Option<(Option<Vec<u8>>, String)>> {
        let row = sqlx::query(self.sql(statement)).persistent(false).bind(id).bind(i32::MAX);
        let Some(row) = row.fetch_optional(&self.pool.for_large()).await? else { return Ok(None) };
        Ok(Some((row.try_get(column)?, text(&row, "entrypoint")?)))
    }
}

//! One failed run, as far as its cause is to be told.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::cause::Cause;
use crate::text::{optional_text, text};
use pgq_job::JobId;

/// The index of failures has their order. Where nobody knows how long the log is, a sort of what the index of all
/// rows brings looks as cheap.
pub(crate) const BY_INDEX: &str = "SET LOCAL enable_incremental_sort = off";

/// A failed run.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) job: JobId,
    pub(crate) at: DateTime<Utc>,
    pub(super) cause: Cause,
    pub(super) message: String,
    /// Plugin, version and sha256; none of a Python worker's.
    pub(super) version: Option<(String, String, String)>,
}

impl FromRow<'_, PgRow> for Failure {
    fn from_row(row: &PgRow) -> sqlx::Result<Failure> {
        let or_empty = |column| Ok::<_, sqlx::Error>(optional_text(row, column)?.unwrap_or_default());
        let message = or_empty("message")?;
        let cause =
            Cause::of(&text(row, "entrypoint")?, &or_empty("exception_type")?, &message, &or_empty("traceback")?);
        let version = optional_text(row, "plugin_sha256")?
            .map(|sha256| Ok::<_, sqlx::Error>((or_empty("plugin")?, or_empty("plugin_version")?, sha256)))
            .transpose()?;
        Ok(Failure { job: row.try_get("job_id")?, at: row.try_get("at")?, cause, message, version })
    }
}

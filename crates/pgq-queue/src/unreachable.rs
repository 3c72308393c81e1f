//! What is said when the database cannot be reached.

use crate::told::told;
use crate::{ServerTooOld, Source};

/// Where it was looked for, why it was not found there, and what names another place.
pub fn unreachable_database(source: &Source, error: &sqlx::Error) -> anyhow::Error {
    if let sqlx::Error::Configuration(cause) = error
        && let Some(too_old) = cause.downcast_ref::<ServerTooOld>()
    {
        // It can be reached all right.
        return too_old.to_owned().into();
    }
    anyhow::anyhow!(
        "cannot connect to PostgreSQL at {source} as {:?}, database {:?}: {}; set --pg-dsn or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
        source.user(),
        source.database(),
        told(error),
    )
}

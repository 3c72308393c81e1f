//! What is said when the database cannot be reached.

use sqlx::postgres::PgConnectOptions;

use crate::ServerTooOld;
use crate::told::told;

/// Where it was looked for, why it was not found there, and what names another place.
pub fn unreachable_database(options: &PgConnectOptions, error: &sqlx::Error) -> anyhow::Error {
    if let sqlx::Error::Configuration(cause) = error
        && let Some(too_old) = cause.downcast_ref::<ServerTooOld>()
    {
        // It can be reached all right.
        return too_old.to_owned().into();
    }
    anyhow::anyhow!(
        "cannot connect to PostgreSQL at {}:{} as {:?}, database {:?}: {}; set --pg-dsn or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
        options.get_host(),
        options.get_port(),
        options.get_username(),
        options.get_database().unwrap_or(options.get_username()),
        told(error),
    )
}

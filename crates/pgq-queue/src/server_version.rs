//! Which versions of PostgreSQL this works with. One check, of what the server says of itself at
//! the connect; no statement is sent.

use sqlx::PgConnection;

/// CREATE OR REPLACE TRIGGER came with it.
pub const OLDEST_SERVER: u32 = 14;
/// The newest one that this is tried with.
pub const NEWEST_SERVER: u32 = 18;

/// The server is older than [`OLDEST_SERVER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server is PostgreSQL {0}, and pgq-host needs PostgreSQL {OLDEST_SERVER} or later: upgrade the server, or name another with --pg-dsn \
     or PGHOST"
)]
pub struct ServerTooOld(u32);

impl From<ServerTooOld> for sqlx::Error {
    fn from(error: ServerTooOld) -> sqlx::Error {
        sqlx::Error::Configuration(error.into())
    }
}

/// Refuse a server that is too old. One that does not say its version (a pooler, perhaps) is left
/// to its answers.
pub fn check_server(connection: &PgConnection) -> Result<(), ServerTooOld> {
    match connection.server_version_num().map(|number| number / 10_000) {
        Some(major) if major < OLDEST_SERVER => Err(ServerTooOld(major)),
        _ => Ok(()),
    }
}

//! Errors of the driver as a guest sees them.

use std::error::Error as _;
use std::fmt::Display;

use pgq_connect::Failure;
use pgq_engine::sql::{ErrorKind, Said, SqlError};

/// The host holds an error until the guest drops it.
const MAX_TEXT: usize = 8 << 10;

/// In the server's words if the server said it.
pub(super) fn database(error: &tokio_postgres::Error) -> SqlError {
    let Some(server) = error.as_db_error() else {
        let cause = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        return connection_lost(&cause);
    };
    let cut = |text: &str| pgq_engine::printable::cut(text, MAX_TEXT).to_owned();
    let some = |text: Option<&str>| text.map(cut);
    SqlError {
        // The server ends the session with these.
        kind: if server.code().code().starts_with("57P") || server.code().code().starts_with("08") {
            ErrorKind::Connection
        } else {
            ErrorKind::Database
        },
        message: cut(server.message()),
        said: Some(Box::new(Said {
            sqlstate: server.code().code().to_owned(),
            detail: some(server.detail()),
            hint: some(server.hint()),
            constraint: some(server.constraint()),
            table: some(server.table()),
            column: some(server.column()),
        })),
    }
}

/// No server was reached, or the one that counts refused.
pub(super) fn unreached(failure: Failure) -> SqlError {
    match failure {
        Failure::Refused(refusal) => {
            let said =
                Said { sqlstate: refusal.code, detail: None, hint: None, constraint: None, table: None, column: None };
            let is_over = ["57P", "08"].iter().any(|class| said.sqlstate.starts_with(class));
            SqlError {
                kind: if is_over { ErrorKind::Connection } else { ErrorKind::Database },
                message: pgq_engine::printable::cut(&refusal.message, MAX_TEXT).to_owned(),
                said: Some(Box::new(said)),
            }
        }
        failure => connection_lost(&failure),
    }
}

pub(super) fn connection_lost(cause: &impl Display) -> SqlError {
    SqlError::new(ErrorKind::Connection, format!("the database cannot be reached: {cause}"))
}

//! What to do about PostgreSQL's error codes: one table for all senders of statements.

use std::io;

use sqlx::Error;

/// What to do after a statement failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing happened, because others were in the way. It may work at once.
    AtOnce,
    /// It may work later, in the same session.
    Later,
    /// The session is gone. The statement may have been done.
    SessionLost,
    /// It fails in this session and in all older ones, and may work in a new one.
    NewSession,
    /// The server grants no more sessions: use those that are open.
    Full,
    /// One of its rows is refused at every try. The others are not.
    Isolate,
    /// An operator has to change something first.
    Operator,
}

pub(super) const READ_ONLY: &str = "25006";
pub(super) const UNIQUE_VIOLATION: &str = "23505";

/// Whether the server gave a statement up because it took too long.
pub fn was_cancelled(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "57014")
}

/// Codes, or the classes that they begin with. The first match counts.
const TABLE: [(&str, Remedy); 40] = [
    // The session is read-only: the database was when it was opened, or the server is a standby by
    // now.
    ("25006", Remedy::NewSession),
    // A prepared statement is missing, or exists already: after DISCARD or DEALLOCATE, or behind a
    // pooler.
    ("26000", Remedy::NewSession),
    ("42P05", Remedy::NewSession),
    // A type, table or function that the session knows by its OID is gone: `cache lookup failed`.
    ("XX000", Remedy::NewSession),
    // The session was given back inside of a transaction.
    ("25P01", Remedy::NewSession),
    ("25P02", Remedy::NewSession),
    ("25001", Remedy::NewSession),
    // A timeout of the server ended the idle session or transaction.
    ("25P03", Remedy::SessionLost),
    ("25P04", Remedy::SessionLost),
    ("57P01", Remedy::SessionLost),
    ("57P02", Remedy::SessionLost),
    ("57P03", Remedy::SessionLost),
    ("57P04", Remedy::SessionLost),
    ("57P05", Remedy::SessionLost),
    ("08", Remedy::SessionLost),
    ("40003", Remedy::SessionLost),
    // Serialization failures and deadlocks: the transaction was rolled back in favour of another.
    ("40001", Remedy::AtOnce),
    ("40P01", Remedy::AtOnce),
    ("40", Remedy::AtOnce),
    // Too many connections: for the server, the role, the database.
    ("53300", Remedy::Full),
    // Disk full, out of memory, a limit that was configured.
    ("53", Remedy::Later),
    // A lock that was not to be had in time, a statement that was cancelled or took too long,
    // objects in use.
    ("55", Remedy::Later),
    ("57", Remedy::Later),
    // I/O errors, files that are missing.
    ("58", Remedy::Later),
    ("F0", Remedy::Later),
    // Data, constraints, limits of the program, cardinality.
    ("21", Remedy::Isolate),
    ("22", Remedy::Isolate),
    ("23", Remedy::Isolate),
    ("54", Remedy::Isolate),
    ("44", Remedy::Isolate),
    // Errors of functions and triggers that are somebody's own.
    ("P0", Remedy::Isolate),
    ("38", Remedy::Isolate),
    ("39", Remedy::Isolate),
    // Authentication, database, privileges, missing objects.
    ("28", Remedy::Operator),
    ("3D", Remedy::Operator),
    ("3F", Remedy::Operator),
    ("42", Remedy::Operator),
    ("0L", Remedy::Operator),
    ("0P", Remedy::Operator),
    ("0A", Remedy::Operator),
];

/// `cached plan must not change result type` shares its code with everything that is not supported.
const CACHED_PLAN: (&str, &str) = ("0A000", "RevalidateCachedQuery");

/// Whether the error has this code.
pub(super) fn is(error: &Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some(code)
}

impl Remedy {
    /// What to do about this error.
    pub fn of(error: &Error) -> Remedy {
        match error {
            Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                let routine =
                    database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().and_then(|error| error.routine());
                if code == CACHED_PLAN.0 && routine == Some(CACHED_PLAN.1) {
                    Remedy::NewSession
                } else {
                    Remedy::of_code(&code)
                }
            }
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed | Error::PoolTimedOut => {
                Remedy::SessionLost
            }
            // The driver cannot encode or decode a value: it fails at every try with the same row.
            Error::Encode(_) | Error::Decode(_) | Error::ColumnDecode { .. } => Remedy::Isolate,
            // The driver cached a type by its name and OID.
            Error::TypeNotFound { .. } | Error::ColumnNotFound(_) | Error::ColumnIndexOutOfBounds { .. } => {
                Remedy::NewSession
            }
            Error::Configuration(_) => Remedy::Operator,
            _ => Remedy::Later,
        }
    }

    fn of_code(code: &str) -> Remedy {
        TABLE.iter().find(|(prefix, _)| code.starts_with(prefix)).map_or(Remedy::Later, |(_, remedy)| *remedy)
    }

    /// Whether the session must not be used again.
    pub(super) fn ends_session(self) -> bool {
        matches!(self, Remedy::SessionLost | Remedy::NewSession)
    }

    /// Whether a failed connection attempt is worth a retry: the server is starting, or has no free
    /// connection; or the relay says that none of several is the right one (08001).
    pub(super) fn may_pass_while_connecting(error: &Error) -> bool {
        match error {
            Error::Io(error) => {
                matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
            }
            error => {
                matches!(
                    error.as_database_error().and_then(|error| error.code()).as_deref(),
                    Some("08001" | "53300" | "57P03")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_asks_for_what_mends_it() {
        let cases = [
            ("25006", Remedy::NewSession, "cannot execute UPDATE in a read-only transaction"),
            ("26000", Remedy::NewSession, "prepared statement does not exist"),
            ("42P05", Remedy::NewSession, "prepared statement already exists"),
            ("XX000", Remedy::NewSession, "cache lookup failed for type"),
            ("25P02", Remedy::NewSession, "current transaction is aborted"),
            ("57P01", Remedy::SessionLost, "terminating connection due to administrator command"),
            ("57P02", Remedy::SessionLost, "crash of another process"),
            ("57P03", Remedy::SessionLost, "the database system is starting up"),
            ("57P05", Remedy::SessionLost, "idle-session timeout"),
            ("25P03", Remedy::SessionLost, "idle-in-transaction timeout"),
            ("08006", Remedy::SessionLost, "connection failure"),
            ("08P01", Remedy::SessionLost, "protocol violation"),
            ("40001", Remedy::AtOnce, "could not serialize access"),
            ("40P01", Remedy::AtOnce, "deadlock detected"),
            ("53300", Remedy::Full, "too many connections"),
            ("53100", Remedy::Later, "disk full"),
            ("53200", Remedy::Later, "out of memory"),
            ("55P03", Remedy::Later, "lock not available"),
            ("57014", Remedy::Later, "canceling statement due to statement timeout"),
            ("58030", Remedy::Later, "I/O error"),
            ("21000", Remedy::Isolate, "cardinality violation"),
            ("22P05", Remedy::Isolate, "a character has no equivalent in the encoding"),
            ("23505", Remedy::Isolate, "unique violation"),
            ("54000", Remedy::Isolate, "index row size exceeds maximum"),
            ("P0001", Remedy::Isolate, "a trigger raised it"),
            ("28P01", Remedy::Operator, "password authentication failed"),
            ("28000", Remedy::Operator, "no pg_hba.conf entry"),
            ("3D000", Remedy::Operator, "database does not exist"),
            ("42P01", Remedy::Operator, "relation does not exist"),
            ("42501", Remedy::Operator, "permission denied"),
            ("0A000", Remedy::Operator, "feature not supported"),
            ("99999", Remedy::Later, "a code that nobody knows"),
            ("", Remedy::Later, "no code at all"),
        ];
        for (code, remedy, what) in cases {
            assert_eq!(Remedy::of_code(code), remedy, "{code} {what}");
        }
        for (at, (code, _)) in TABLE.iter().enumerate() {
            let hidden = TABLE[..at].iter().find(|(before, _)| code.starts_with(before));
            assert_eq!(hidden, None, "{code} is never reached");
        }
    }

    #[test]
    fn errors_without_a_code_are_told_apart_too() {
        let io = |kind| Error::Io(io::Error::from(kind));
        assert_eq!(Remedy::of(&io(io::ErrorKind::TimedOut)), Remedy::SessionLost);
        assert_eq!(Remedy::of(&Error::Encode("too long".into())), Remedy::Isolate);
        assert_eq!(Remedy::of(&Error::Protocol("unexpected".into())), Remedy::SessionLost);
        assert!(Remedy::may_pass_while_connecting(&io(io::ErrorKind::ConnectionRefused)));
        assert!(!Remedy::may_pass_while_connecting(&io(io::ErrorKind::NotFound)));
    }
}

//! Why a statement failed.

use std::fmt;

/// Who says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// PostgreSQL: see [`Error::sqlstate`].
    Database,
    /// The host: nothing is granted, or no handler may run this kind of statement.
    Refused,
    /// A limit of the run: statements, rows or bytes.
    Limit,
    /// A value that has no place where it should go.
    Conversion,
    /// The connection could not be had, or was lost. All of the run is rolled back; try again.
    Connection,
}

/// A statement failed. As the error of a handler, it is a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) sqlstate: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) constraint: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) column: Option<String>,
}

impl Error {
    pub(crate) fn of(parts: Parts) -> Error {
        Error(Box::new(parts))
    }

    fn new(kind: ErrorKind, message: impl Into<String>, sqlstate: Option<&str>) -> Error {
        Error::of(Parts {
            kind,
            message: message.into(),
            sqlstate: sqlstate.map(str::to_owned),
            detail: None,
            hint: None,
            constraint: None,
            table: None,
            column: None,
        })
    }

    pub(crate) fn conversion(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Conversion, message, None)
    }

    /// An error of PostgreSQL, for tests.
    pub fn database(sqlstate: &str, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Database, message, Some(sqlstate))
    }

    /// An error of the host, for tests.
    pub fn refused(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Refused, message, None)
    }

    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// PostgreSQL's code of five characters, `23505` for a key that is there already.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        self.0.sqlstate.as_deref()
    }

    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        self.0.constraint.as_deref()
    }

    #[must_use]
    pub fn table(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self.sqlstate() {
            Some(code) => write!(f, " (SQLSTATE {code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

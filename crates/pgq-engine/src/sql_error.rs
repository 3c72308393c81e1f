//! Why a statement of a guest failed.

use std::borrow::Cow;

/// Who says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// PostgreSQL.
    Database,
    /// The host: nothing is granted, or no handler may run this kind of statement.
    Refused,
    /// A limit of the run.
    Limit,
    /// A value that has no place where it should go.
    Conversion,
    /// The connection could not be had, or was lost.
    Connection,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlError {
    pub kind: ErrorKind,
    pub message: String,
    /// What PostgreSQL says beside the message.
    pub said: Option<Box<Said>>,
}

/// The parts of an error of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    pub sqlstate: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub constraint: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
}

impl SqlError {
    /// One that PostgreSQL knows nothing of.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> SqlError {
        SqlError { kind, message: message.into(), said: None }
    }

    pub fn sqlstate(&self) -> Option<&str> {
        self.said.as_ref().map(|said| &*said.sqlstate)
    }

    /// The SQLSTATE, or who else says no: for traces.
    pub(super) fn label(&self) -> Cow<'static, str> {
        match (self.sqlstate(), self.kind) {
            (Some(sqlstate), _) => sqlstate.to_owned().into(),
            (None, ErrorKind::Database) => "database".into(),
            (None, ErrorKind::Refused) => "refused".into(),
            (None, ErrorKind::Limit) => "over_limit".into(),
            (None, ErrorKind::Conversion) => "conversion".into(),
            (None, ErrorKind::Connection) => "connection".into(),
        }
    }

    /// How many bytes the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| {
            let texts = [&said.detail, &said.hint, &said.constraint, &said.table, &said.column];
            said.sqlstate.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
        });
        self.message.len() + said
    }
}

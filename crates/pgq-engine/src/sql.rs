//! What a guest's SQL is to the engine: commands to a session that the host opens. The engine knows
//! no database.

use std::fmt;

use futures_util::future::BoxFuture;

pub use super::bindings::pgq::plugin::sql::{Column, ErrorKind, Interval, Scalar, Value};

/// The transaction of one run. It begins with the first command, and the host ends it.
pub trait SqlSession: Send + Sync + fmt::Debug {
    /// Do this, and wait for the answer. The caller may stop waiting at any time.
    fn ask(&self, command: SqlCommand) -> BoxFuture<'_, Result<SqlAnswer, SqlError>>;

    /// The guest does not need this any more.
    fn forget(&self, what: Forgotten);
}

/// What a guest can ask for.
#[derive(Debug)]
pub enum SqlCommand {
    Execute {
        statement: String,
        parameters: Vec<Value>,
    },
    Query {
        statement: String,
        parameters: Vec<Value>,
    },
    /// The next rows of a cursor.
    Next {
        cursor: u64,
        max_rows: u32,
    },
    Savepoint,
    Release(u64),
    RollBack(u64),
}

#[derive(Debug)]
pub enum SqlAnswer {
    /// How many rows were touched.
    Touched(u64),
    /// `held` is the size of the rows that are there already.
    Cursor {
        id: u64,
        columns: Vec<Column>,
        held: usize,
    },
    Rows(Vec<Vec<Value>>),
    Savepoint(u64),
    Done,
}

/// Handles that the guest dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    Cursor(u64),
    Savepoint(u64),
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

    /// How many bytes the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        let said = self.said.as_ref().map_or(0, |said| {
            let texts = [&said.detail, &said.hint, &said.constraint, &said.table, &said.column];
            said.sqlstate.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
        });
        self.message.len() + said
    }
}

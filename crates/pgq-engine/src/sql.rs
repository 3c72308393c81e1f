//! What a guest's SQL is to the engine: commands to a session that the host opens. The engine knows
//! no database.

use std::fmt;

use futures_util::future::BoxFuture;

pub use super::bindings::pgq::plugin::sql::{Column, Interval, Scalar, Value};
pub use super::sql_error::{ErrorKind, Said, SqlError};

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

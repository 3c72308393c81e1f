//! The database of a test: whatever the test answers.

use std::cell::RefCell;

use crate::sql::{Column, Error, Value};

/// What a statement is answered with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestRows {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    touched: u64,
}

impl TestRows {
    /// Rows with these columns.
    #[must_use]
    pub fn new(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let column = |name: &&str| Column { name: (*name).to_owned(), type_name: "test".to_owned() };
        Self { columns: columns.iter().map(column).collect(), touched: rows.len() as u64, rows }
    }

    #[cfg(feature = "postgres")]
    pub(super) fn answered(columns: Vec<Column>, rows: Vec<Vec<Value>>, touched: u64) -> Self {
        Self { columns, rows, touched }
    }

    /// No rows; so many were touched.
    #[must_use]
    pub fn touched(rows: u64) -> Self {
        Self { touched: rows, ..Self::default() }
    }
}

type Answer = Box<dyn FnMut(&str, &[Value]) -> Result<TestRows, Error>>;

thread_local! {
    static DATABASE: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// Removes the thread's database, even when a handler panics.
pub(super) struct TestDatabase;

impl TestDatabase {
    pub(super) fn start(answer: Answer) -> Self {
        DATABASE.replace(Some(answer));
        Self
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        DATABASE.take();
    }
}

fn answer(statement: &str, parameters: &[Value]) -> Result<TestRows, Error> {
    DATABASE.with_borrow_mut(|database| match database {
        Some(answer) => answer(statement, parameters),
        None => Err(Error::refused("there is no database in this test; use `TestRun::with_sql`")),
    })
}

pub(crate) fn sql_execute(statement: &str, parameters: Vec<Value>) -> Result<u64, Error> {
    answer(statement, &parameters).map(|rows| rows.touched)
}

pub(crate) fn sql_query(statement: &str, parameters: Vec<Value>) -> Result<SqlCursor, Error> {
    answer(statement, &parameters).map(|rows| SqlCursor { columns: rows.columns, rows: rows.rows })
}

pub(crate) fn sql_savepoint() -> Result<SqlSavepoint, Error> {
    answer("SAVEPOINT", &[]).map(|_| SqlSavepoint)
}

#[derive(Debug)]
pub(crate) struct SqlCursor {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

impl SqlCursor {
    pub(crate) fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    /// All at once.
    #[expect(clippy::unnecessary_wraps, reason = "the host's may fail")]
    pub(crate) fn next(&mut self, _: u32) -> Result<Vec<Vec<Value>>, Error> {
        Ok(std::mem::take(&mut self.rows))
    }
}

#[derive(Debug)]
pub(crate) struct SqlSavepoint;

impl SqlSavepoint {
    pub(crate) fn release(self) -> Result<(), Error> {
        answer("RELEASE", &[]).map(drop)
    }

    pub(crate) fn roll_back(self) -> Result<(), Error> {
        answer("ROLLBACK", &[]).map(drop)
    }
}

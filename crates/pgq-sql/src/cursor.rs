//! The rows of one statement, some at a time.

use std::collections::VecDeque;

use tokio_postgres::{Portal, Row};

use super::values::of_row;
use pgq_engine::sql::{ErrorKind, SqlError, Value};

/// What the rows of one portion should not exceed. One row may be larger.
const PORTION_BYTES: usize = 256 << 10;
const FIRST_ROWS: usize = 32;
const MOST_ROWS: usize = 1_000;
/// What a value takes here in addition to what the server sent.
const VALUE_BYTES: usize = 48;

pub(super) struct Cursor {
    /// `None` for a statement that returns no rows.
    pub(super) portal: Option<Portal>,
    /// The first portion, which is there before anybody asks: a statement that changes rows does so
    /// at its first.
    there: VecDeque<Vec<Value>>,
    is_over: bool,
    next: usize,
}

impl Cursor {
    pub(super) fn new(portal: Option<Portal>) -> Cursor {
        Cursor { is_over: portal.is_none(), portal, there: VecDeque::new(), next: FIRST_ROWS }
    }

    /// How many rows to ask the server for; `None` if it has no more.
    pub(super) fn wants(&self, max_rows: usize) -> Option<usize> {
        (!self.is_over).then(|| self.next.min(max_rows.max(1)))
    }

    /// Take in what the server sent when it was asked for that many rows.
    pub(super) fn take(&mut self, rows: &[Row], asked: usize) -> Result<Vec<Vec<Value>>, SqlError> {
        self.is_over = rows.len() < asked;
        let bytes: usize = rows.iter().map(weight).sum();
        if let Some(each) = bytes.checked_div(rows.len()) {
            let fit = PORTION_BYTES / each.max(1);
            // Not many at once, because the next rows may be larger than these.
            self.next = fit.min(asked * 4).clamp(1, MOST_ROWS);
        }
        let values = rows.iter().map(of_row).collect::<Result<_, _>>();
        values.map_err(|why| SqlError::new(ErrorKind::Conversion, why))
    }

    /// Keep the first portion. Returns its size.
    pub(super) fn keep(&mut self, rows: Vec<Vec<Value>>, raw: &[Row]) -> usize {
        self.there = rows.into();
        raw.iter().map(weight).sum()
    }

    /// Rows that are there already.
    pub(super) fn at_hand(&mut self, max_rows: usize) -> Option<Vec<Vec<Value>>> {
        let some = self.there.len().min(max_rows.max(1));
        (some > 0).then(|| self.there.drain(..some).collect())
    }
}

fn weight(row: &Row) -> usize {
    row.raw_size_bytes() + row.len() * VALUE_BYTES
}

//! What a run has used of what it may use.

use pgq_engine::SqlGrant;
use pgq_engine::sql::{ErrorKind, SqlError};

#[derive(Debug)]
pub(super) struct Used<'a> {
    grant: &'a SqlGrant,
    statements: u64,
    rows: u64,
}

impl Used<'_> {
    pub(super) fn new(grant: &SqlGrant) -> Used<'_> {
        Used { grant, statements: 0, rows: 0 }
    }

    /// One more statement or savepoint.
    pub(super) fn statement(&mut self) -> Result<(), SqlError> {
        self.statements += 1;
        if self.statements <= self.grant.statements {
            return Ok(());
        }
        Err(exceeded(format!("a run may have {} statements (sql.statements)", self.grant.statements)))
    }

    /// These rows were read.
    pub(super) fn rows(&mut self, rows: usize) -> Result<(), SqlError> {
        self.rows = self.rows.saturating_add(rows as u64);
        if self.rows <= self.grant.rows {
            return Ok(());
        }
        Err(exceeded(format!("a run may read {} rows (sql.rows)", self.grant.rows)))
    }
}

fn exceeded(message: String) -> SqlError {
    SqlError::new(ErrorKind::Limit, message)
}

//! The database, as the role that the operator granted to the plugin.
//!
//! ```
//! # use pgq_plugin_sdk::prelude::*;
//! fn transfer(job: &Job, Json((from, to, amount)): Json<(i64, i64, i64)>) -> Result<()> {
//!     let (balance,): (i64,) = sql::query("SELECT balance FROM account WHERE id = $1 FOR UPDATE", &[&from])?.one()?;
//!     if balance < amount {
//!         return Err(Failure::reject("not enough money"));
//!     }
//!     sql::execute("UPDATE account SET balance = balance - $2 WHERE id = $1", &[&from, &amount])?;
//!     sql::execute("INSERT INTO account (id, balance) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET balance = account.balance + $2", &[&to, &amount])?;
//!     Ok(())
//! }
//! ```
//!
//! All statements of a run are in one transaction, which is committed in the statement that records
//! the outcome: rows, output, follow-ups and the end of the job are there together, or none of them
//! is. An `Err`, a panic, the deadline or a lost host leaves nothing behind, and the job runs again.
//!
//! A statement that fails aborts the transaction, as in psql: return the error. What may fail goes
//! into a [`savepoint`].
//!
//! Declare the need with [`Plugin::needs_sql`](crate::Plugin::needs_sql), and see the page `sql` of
//! the host's documentation for what the operator grants.

mod error;
mod from_sql;
mod row;
mod to_sql;
mod value;

#[cfg(any(target_family = "wasm", feature = "postgres"))]
pub(crate) use error::Parts;
pub use error::{Error, ErrorKind};
pub use from_sql::{FromScalar, FromSql};
pub use row::{FromRow, Row, Rows};
pub use to_sql::{ToScalar, ToSql};
pub use value::{Column, Date, Interval, Numeric, Scalar, Time, Timestamp, Uuid, Value};

use crate::host;

/// Run a statement, and return how many rows it has touched.
///
/// # Errors
///
/// Fails if the database refuses it, or the host does.
pub fn execute(statement: &str, parameters: &[&dyn ToSql]) -> Result<u64, Error> {
    host::sql_execute(statement, values(parameters))
}

/// Run a statement, and read its rows, some at a time.
///
/// # Errors
///
/// Fails if the database refuses it, or the host does.
pub fn query(statement: &str, parameters: &[&dyn ToSql]) -> Result<Rows, Error> {
    host::sql_query(statement, values(parameters)).map(Rows::new)
}

/// Run a part that can fail without the rest: if it returns an error, what it did in the database is
/// undone, and the run goes on.
///
/// ```
/// # use pgq_plugin_sdk::prelude::*;
/// # fn import(line: &str) -> Result<()> {
/// let new = sql::savepoint(|| sql::execute("INSERT INTO item (name) VALUES ($1)", &[&line]));
/// if let Err(error) = new {
///     if error.sqlstate() != Some("23505") {
///         return Err(error.into());
///     }
///     log::info!("{line} is there already");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Returns the error of the part, or that of the savepoint itself.
pub fn savepoint<T, E: From<Error>>(part: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let savepoint = host::sql_savepoint()?;
    match part() {
        Ok(done) => {
            savepoint.release()?;
            Ok(done)
        }
        Err(error) => {
            savepoint.roll_back()?;
            Err(error)
        }
    }
}

fn values(parameters: &[&dyn ToSql]) -> Vec<Value> {
    parameters.iter().map(|parameter| parameter.to_sql()).collect()
}

//! What handlers send to the database and get back: values as PostgreSQL reads and writes them, and
//! the statements that they may send. The host uses it in the sessions of handlers, and the SDK in tests against a
//! database, so that both say the same.

mod numeric;
mod parameter;
mod row;
pub mod statement;
mod value;

pub use parameter::Parameter;
pub use row::values;
pub use value::{Interval, Scalar, Value};

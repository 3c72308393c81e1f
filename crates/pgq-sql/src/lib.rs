//! Handlers in the database: sessions of a role of their own, one transaction per run, and the
//! commit that records the outcome in it.
//!
//! The session is authenticated as the handler's role from its first byte, so what the handler can
//! do in it is what PostgreSQL lets that role do. The outcome is recorded by functions of the
//! queue's owner, which ask for a token that only the host can make (`pgq-queue`).

mod address;
mod arguments;
mod commit;
mod cursor;
mod elsewhere;
mod ended;
mod failure;
mod limits;
mod metered;
mod run;
mod session;
mod sessions;
mod spec;
mod stream;
mod tls;
mod transaction;
mod values;
mod way;
mod work;

pub use address::Address;
pub use elsewhere::Elsewhere;
pub use ended::Ended;
pub use run::RunSql;
pub use sessions::{DEFAULT_SESSIONS, Sessions};
pub use spec::RunSpec;

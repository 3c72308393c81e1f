//! The objects in the database: made, compared with what the migrations declare, brought up to
//! date, removed.
//!
//! One declaration (`migrations/*.sql`) is compared with the catalog, so that any earlier release
//! of PgQueuer, a database that PgQueuer made and a half-finished upgrade all take the same way. No
//! table or column is ever dropped by an upgrade, and no object is touched that the declaration
//! does not name.

mod advisory;
mod autovac;
mod catalog;
mod column;
mod converge;
mod diff;
mod durability;
mod error;
mod finding;
mod grants;
mod handlers;
mod index;
mod install;
mod loss;
mod manifest;
mod object;
mod privileges;
mod statement;
mod template;
mod uninstall;
mod upgrade;
mod verify;
mod worker;

pub use autovac::{set_autovac, sql_autovac};
pub use durability::{Durability, UnknownDurability, set_durability, sql_durability};
pub use error::SchemaError;
pub use finding::{Finding, Problem};
pub use grants::{Role, UnknownRole, grant, grant_statements, sql_grant};
pub use handlers::{grant_handler, handler_functions, handler_statements};
pub use install::{InstallOptions, install, sql_install};
pub use loss::{Loss, loss};
pub use privileges::{missing_privileges, tables};
pub use uninstall::{sql_uninstall, uninstall};
pub use upgrade::{UpgradeOptions, plan_upgrade, sql_upgrade, upgrade};
pub use verify::{Expect, verify};
pub use worker::check_worker;

//! How much of the queue survives a crash of the server: which tables are written to the WAL.

use std::fmt;
use std::str::FromStr;

use sqlx::PgConnection;

use super::error::SchemaError;
use super::manifest::Manifest;
use super::object::Owner;
use super::statement;
use crate::names::Names;

/// PgQueuer's three levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing is written to the WAL: a crash of the server empties all tables.
    Volatile,
    /// Jobs and schedules are safe; log, statistics and outputs are lost in a crash.
    Balanced,
    /// Everything is safe.
    #[default]
    Durable,
}

/// The word is none of the three levels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no durability; use `durable`, `balanced` or `volatile`")]
pub struct UnknownDurability(String);

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(word: &str) -> Result<Durability, UnknownDurability> {
        match word {
            "volatile" => Ok(Durability::Volatile),
            "balanced" => Ok(Durability::Balanced),
            "durable" => Ok(Durability::Durable),
            _ => Err(UnknownDurability(word.to_owned())),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Durability::Volatile => "volatile",
            Durability::Balanced => "balanced",
            Durability::Durable => "durable",
        })
    }
}

impl Durability {
    /// Whether the table of this role (its placeholder in the migrations) stays out of the WAL.
    /// Outputs and attempts go with the log: all tell of jobs that are over. A host announces itself
    /// again, and walks begin anew where the log does.
    fn unlogged(self, role: &str) -> bool {
        match self {
            Durability::Volatile => true,
            Durability::Balanced => {
                matches!(role, "log" | "statistics" | "output" | "attempt" | "tally" | "host" | "retention")
            }
            Durability::Durable => false,
        }
    }

    /// The CREATE TABLE of this role at this level.
    pub(super) fn create(self, role: &str, create: &str) -> String {
        if self.unlogged(role) {
            create.replacen("CREATE TABLE", "CREATE UNLOGGED TABLE", 1)
        } else {
            create.to_owned()
        }
    }
}

/// Switch the tables to another level, one transaction each. A table that changes is rewritten
/// under an exclusive lock.
pub async fn set_durability(conn: &mut PgConnection, names: &Names, durability: Durability) -> Result<(), SchemaError> {
    for sql in statements(names, durability) {
        statement::run_patiently(conn, &sql).await?;
    }
    Ok(())
}

/// What [`set_durability`] runs, as a script; needs no connection.
pub fn sql_durability(names: &Names, durability: Durability) -> String {
    statements(names, durability).join("\n") + "\n"
}

fn statements(names: &Names, durability: Durability) -> Vec<String> {
    let manifest = Manifest::new(names);
    let alter = manifest.tables().map(|(table, role)| {
        let level = if durability.unlogged(role) { "UNLOGGED" } else { "LOGGED" };
        // Before `pgq-host upgrade` a database of PgQueuer's has none of ours.
        let guard = if table.owner == Owner::PgqHost { "IF EXISTS " } else { "" };
        format!("ALTER TABLE {guard}{} SET {level};", table.sql_name)
    });
    alter.collect()
}

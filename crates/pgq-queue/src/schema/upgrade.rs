//! Brings any earlier schema of PgQueuer or pgq-host up to the declaration, on a live database, as
//! often as one likes.

use sqlx::PgConnection;

use super::catalog::Catalog;
use super::diff;
use super::error::SchemaError;
use super::finding::Cure;
use super::manifest::Manifest;
use super::{advisory, converge, statement};
use crate::names::Names;

/// The choices that `upgrade` leaves to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeOptions {
    /// Turn 32-bit ids of early releases into bigint. That rewrites the table under an exclusive
    /// lock.
    pub widen_id: bool,
}

impl Default for UpgradeOptions {
    fn default() -> UpgradeOptions {
        UpgradeOptions { widen_id: true }
    }
}

/// The statements that [`upgrade`] would run now; none when the database is up to date.
pub async fn plan_upgrade(
    conn: &mut PgConnection,
    names: &Names,
    options: &UpgradeOptions,
) -> Result<Vec<String>, SchemaError> {
    let manifest = Manifest::new(names);
    let live = Catalog::read(conn, names, &manifest).await?;
    let mut statements = Vec::new();
    for difference in diff::differences(names, &live, &manifest) {
        match difference.cure {
            Cure::Run(cure) => statements.extend(cure),
            Cure::WidenId(cure) if options.widen_id => statements.push(cure),
            Cure::WidenId(_) | Cure::ByHand => {}
            Cure::Drift { table, column, installed, declared } => {
                return Err(SchemaError::Drift { table, column, installed, declared });
            }
        }
    }
    Ok(statements)
}

/// Run the plan, one transaction per statement, while no other upgrade of this installation runs;
/// returns what was run. The connection must not be in a transaction. Cut off anywhere, the next
/// upgrade continues.
pub async fn upgrade(
    conn: &mut PgConnection,
    names: &Names,
    options: &UpgradeOptions,
) -> Result<Vec<String>, SchemaError> {
    advisory::lock(conn, names).await?;
    let done = run_plan(conn, names, options).await;
    let unlocked = advisory::unlock(conn, names).await;
    let done = done?;
    unlocked.map(|()| done)
}

/// A script that brings any earlier schema up to date without having seen it; needs no connection.
/// What it cannot know, it leaves as it is: an index or a default of the right name and the wrong
/// definition, for which there is [`plan_upgrade`].
pub fn sql_upgrade(names: &Names, options: &UpgradeOptions) -> String {
    let header = format!(
        "-- Brings PgQueuer's schema and pgq-host's additions for {names} up to date, from any release, as often as you like.\n\
         -- Not in one transaction: a label of an enum cannot be used in the transaction that adds it.\n\
         SET quote_all_identifiers = off;"
    );
    [vec![header], converge::statements(names, options.widen_id)].concat().join("\n\n") + "\n"
}

async fn run_plan(
    conn: &mut PgConnection,
    names: &Names,
    options: &UpgradeOptions,
) -> Result<Vec<String>, SchemaError> {
    let statements = plan_upgrade(conn, names, options).await?;
    for sql in &statements {
        statement::run_patiently(conn, sql).await?;
    }
    Ok(statements)
}

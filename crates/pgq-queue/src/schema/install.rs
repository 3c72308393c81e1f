//! Makes everything on a database that has nothing of it, or prints the SQL that would.

use sqlx::{Connection, PgConnection};

use super::catalog::Catalog;
use super::durability::Durability;
use super::error::SchemaError;
use super::manifest::Manifest;
use super::object::{Kind, Owner};
use super::{advisory, statement};
use crate::JOINED;
use crate::names::Names;

/// The choices that `install` leaves to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstallOptions {
    /// Which tables are written to the WAL.
    pub durability: Durability,
    /// Make the schema of `--schema` if it is not there.
    pub create_schema: bool,
}

impl Default for InstallOptions {
    fn default() -> InstallOptions {
        InstallOptions { durability: Durability::default(), create_schema: true }
    }
}

/// Make PgQueuer's objects and pgq-host's, all or none. Refuses where any table or enum of
/// PgQueuer's is there already.
pub async fn install(conn: &mut PgConnection, names: &Names, options: &InstallOptions) -> Result<(), SchemaError> {
    let manifest = Manifest::new(names);
    let mut transaction = conn.begin().await?;
    advisory::lock_transaction(&mut transaction, names).await?;
    let live = Catalog::read(&mut transaction, names, &manifest).await?;
    if let (Some(schema), false, false) = (&names.schema, live.schema_exists, options.create_schema) {
        return Err(SchemaError::NoSchema { schema: schema.clone() });
    }
    let found: Vec<String> = manifest
        .objects
        .iter()
        .filter(|object| {
            object.owner == Owner::PgQueuer && matches!(object.kind, Kind::Table { .. } | Kind::Enum { .. })
        })
        .filter(|object| live.has(object))
        .map(ToString::to_string)
        .collect();
    if !found.is_empty() {
        return Err(SchemaError::AlreadyInstalled { place: live.place(), found: found.join(", ") });
    }
    for sql in statements(names, &manifest, options) {
        statement::run(&mut transaction, &sql).await?;
    }
    for (table, _) in manifest.tables().filter(|(table, _)| table.owner == Owner::PgqHost && live.has(table)) {
        // Left over from an earlier installation, whose job numbers now start again: its outputs
        // and attempts would pass for the new jobs'.
        statement::run(&mut transaction, &format!("TRUNCATE {};", table.sql_name)).await?;
    }
    // Hosts that run already have lost their announcements with the old tables: they look, and
    // announce themselves anew.
    sqlx::query("SELECT pg_notify($1, $2)").bind(names.fleet_channel()).bind(JOINED).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// What [`install`] runs, as a script for psql or a migration tool; needs no connection.
pub fn sql_install(names: &Names, options: &InstallOptions) -> String {
    let header =
        format!("-- PgQueuer 1.6.0's schema and pgq-host's additions for {names}, durability {}", options.durability);
    let mut script = vec![header];
    script.extend(statements(names, &Manifest::new(names), options));
    script.join("\n\n") + "\n"
}

fn statements(names: &Names, manifest: &Manifest, options: &InstallOptions) -> Vec<String> {
    let schema = names.schema.as_ref().filter(|_| options.create_schema);
    let objects = manifest.objects.iter().map(|object| match object.kind {
        Kind::Table { role, .. } => options.durability.create(role, &object.create),
        _ => object.create.clone(),
    });
    schema.map(|schema| create_schema(schema)).into_iter().chain(objects).collect()
}

/// Checked by [`Names`] to be a plain lower-case name.
pub(super) fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";")
}

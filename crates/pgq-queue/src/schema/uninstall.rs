//! Removes what PgQueuer and pgq-host declare, and nothing that depends on it: there is no CASCADE.

use sqlx::{Connection, PgConnection};

use super::error::SchemaError;
use super::handlers::drop_functions;
use super::manifest::Manifest;
use super::object::Kind;
use super::{advisory, statement};
use crate::names::Names;

/// Drop PgQueuer's objects and pgq-host's, all or none; those that are not there do not matter. The
/// schema itself stays.
pub async fn uninstall(conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    let mut transaction = conn.begin().await?;
    advisory::lock_transaction(&mut transaction, names).await?;
    for sql in statements(names) {
        statement::run(&mut transaction, &sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What [`uninstall`] runs, as a script; needs no connection.
pub fn sql_uninstall(names: &Names) -> String {
    statements(names).join("\n") + "\n"
}

/// Triggers before functions before tables before types: what depends on something goes first.
/// Indexes go with their table.
fn statements(names: &Names) -> Vec<String> {
    let manifest = Manifest::new(names);
    let mut drops: Vec<(u8, String)> = Vec::new();
    for object in &manifest.objects {
        let (name, sql_name) = (&object.name, &object.sql_name);
        match &object.kind {
            Kind::Trigger { table_sql, .. } => {
                drops.push((0, format!("DROP TRIGGER IF EXISTS {name} ON {table_sql};")))
            }
            Kind::Function { .. } => drops.push((1, format!("DROP FUNCTION IF EXISTS {sql_name}();"))),
            Kind::Table { .. } => drops.push((2, format!("DROP TABLE IF EXISTS {sql_name};"))),
            Kind::Enum { .. } => drops.push((3, format!("DROP TYPE IF EXISTS {sql_name};"))),
            Kind::Index { .. } | Kind::ReplicaIdentity => {}
        }
    }
    drops.push((1, drop_functions(names)));
    drops.push((4, format!("DROP TYPE IF EXISTS {};", names.qualified(&manifest.retired.type_name))));
    drops.sort_by_key(|(step, _)| *step);
    drops.into_iter().map(|(_, sql)| sql).collect()
}

//! The least that a worker's role needs: rows of the declared tables, and nothing that changes a
//! table.

use sqlx::{Connection, PgConnection};

use super::error::SchemaError;
use super::manifest::Manifest;
use super::object::{Kind, Owner};
use super::statement;
use crate::names::Names;

/// PgQueuer's checklist has all four: its aggregation updates the log, its clean-up deletes from
/// the log and the statistics.
const PRIVILEGES: &str = "SELECT, INSERT, UPDATE, DELETE";

/// The name of no role that privileges could be meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role for a worker: name one that exists, of 1 to 63 bytes (`public` would be everybody)")]
pub struct UnknownRole(String);

/// A role's name, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role(String);

impl Role {
    /// PostgreSQL takes `public` and `none` for words, quoted or not.
    pub fn new(name: &str) -> Result<Role, UnknownRole> {
        let usable =
            !name.is_empty() && name.len() <= 63 && !name.contains('\0') && !["public", "none"].contains(&name);
        if usable { Ok(Role(name.to_owned())) } else { Err(UnknownRole(name.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// Give the privileges, all or none.
pub async fn grant(conn: &mut PgConnection, names: &Names, role: &Role) -> Result<(), SchemaError> {
    let mut transaction = conn.begin().await?;
    for sql in grant_statements(names, role) {
        statement::run(&mut transaction, &sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What [`grant`] runs, as a script; needs no connection.
pub fn sql_grant(names: &Names, role: &Role) -> String {
    grant_statements(names, role).join("\n") + "\n"
}

/// The same, statement by statement.
pub fn grant_statements(names: &Names, role: &Role) -> Vec<String> {
    let (manifest, to) = (Manifest::new(names), role.quoted());
    let mut grants = Vec::new();
    // By default everybody may connect; where that was revoked, a worker needs to be told. The
    // database is the one that runs this.
    let to_in_format = to.replace('%', "%%");
    grants.push(on_current(&format!("CONNECT ON DATABASE %I TO {to_in_format}"), "current_database()"));
    grants.push(match &names.schema {
        Some(schema) => format!("GRANT USAGE ON SCHEMA \"{schema}\" TO {to};"),
        None => on_current(&format!("USAGE ON SCHEMA %I TO {to_in_format}"), "current_schema()"),
    });
    for object in &manifest.objects {
        let name = &object.sql_name;
        match &object.kind {
            Kind::Table { columns, .. } => {
                grants.push(format!("GRANT {PRIVILEGES} ON TABLE {name} TO {to};"));
                // PgQueuer's client draws ids itself, so it reads the sequence as well; its name is
                // what an early release called it.
                if object.owner == Owner::PgQueuer && columns.iter().any(|column| column.name == "id") {
                    let sequence = format!("pg_get_serial_sequence('{}', 'id')::regclass", name.replace('\'', "''"));
                    grants.push(on_current(&format!("USAGE, SELECT ON SEQUENCE %s TO {to_in_format}"), &sequence));
                }
            }
            Kind::Function { .. } => grants.push(format!("GRANT EXECUTE ON FUNCTION {name}() TO {to};")),
            // To write values of an enum takes no privilege; to declare columns of it would.
            Kind::Enum { .. } | Kind::Index { .. } | Kind::Trigger { .. } | Kind::ReplicaIdentity => {}
        }
    }
    grants
}

/// A grant on something whose name only the database knows.
fn on_current(grant: &str, name: &str) -> String {
    // The role is in there, and a role may have any name.
    let mut tag = "$grant$".to_owned();
    while grant.contains(&tag) {
        tag.insert(1, '_');
    }
    format!("DO {tag} BEGIN EXECUTE format('GRANT {}', {name}); END {tag};", grant.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    #[test]
    fn roles_are_quoted_and_everybody_is_refused() {
        let names = Names::new(&NameSettings { prefix: Some("p_".into()), schema: Some("jobs".into()) }, |_| None)
            .expect("valid");
        let sql = sql_grant(&names, &Role::new("o'brien \"x\"").expect("a role"));
        assert!(sql.contains("ON TABLE \"jobs\".\"p_pgqueuer\" TO \"o'brien \"\"x\"\"\";"), "{sql}");
        assert!(sql.contains("TO \"o''brien \"\"x\"\"\"', current_database())"), "{sql}");
        let odd = sql_grant(&names, &Role::new("100% $grant$").expect("a role"));
        assert!(
            odd.contains("DO $_grant$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO \"100%% $grant$\"'"),
            "{odd}"
        );
        for bad in ["", "public", "none", "a\0b", &"r".repeat(64)] {
            assert_eq!(Role::new(bad), Err(UnknownRole(bad.to_owned())));
        }
    }
}

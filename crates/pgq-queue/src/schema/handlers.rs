//! What the role of handlers needs: two functions of the queue's owner, which record an outcome in
//! a session of that role, and the right to call them. Made where an operator asks for it, and not
//! by `install`.

use sqlx::{Connection, PgConnection};

use super::error::SchemaError;
use super::grants::{Role, grant_statements};
use super::statement;
use crate::handler_functions::{Function, SCHEMA, definition, name, prefix, signature};
use crate::names::Names;

/// Make the functions, let the role call them, and let the workers' role end its sessions. All or
/// nothing.
pub async fn grant_handler(
    conn: &mut PgConnection,
    names: &Names,
    worker: &Role,
    handler: &Role,
) -> Result<(), SchemaError> {
    let mut transaction = conn.begin().await?;
    for sql in handler_statements(names, worker, handler) {
        statement::run(&mut transaction, &sql).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// The statements of [`grant_handler`]; needs no connection.
pub fn handler_statements(names: &Names, worker: &Role, handler: &Role) -> Vec<String> {
    let (mut statements, to) = (grant_statements(names, worker), handler.quoted());
    let mut ours = Vec::new();
    for function in Function::ALL {
        let signature = signature(names, function);
        ours.push(definition(names, function));
        ours.push(format!("REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;"));
        ours.push(format!("GRANT EXECUTE ON FUNCTION {signature} TO {to};"));
    }
    let schema = names.schema.as_deref().unwrap_or(SCHEMA);
    ours.push(format!("GRANT USAGE ON SCHEMA \"{schema}\" TO {to};"));
    statements.extend(ours.into_iter().map(|sql| if names.schema.is_some() { sql } else { located(&sql) }));
    if worker != handler {
        statements.push(format!("GRANT {to} TO {};", worker.quoted()));
    }
    statements
}

/// The functions of this release, bare.
pub fn handler_functions(names: &Names) -> [String; 2] {
    Function::ALL.map(|function| name(names, function))
}

/// Drops the functions of all releases.
pub(super) fn drop_functions(names: &Names) -> String {
    let schema = names.schema.as_ref().map_or_else(|| "current_schema()".to_owned(), |schema| format!("'{schema}'"));
    format!(
        "DO $drop$ DECLARE f regprocedure; BEGIN FOR f IN SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = {schema} AND p.prosecdef AND p.proname ~ '^{}(end|back)_[0-9a-f]{{8}}$' LOOP EXECUTE 'DROP FUNCTION ' || f; \
         END LOOP; END $drop$;",
        prefix(names)
    )
}

/// The same, with the schema that is the first of the `search_path`.
fn located(sql: &str) -> String {
    let mut tag = "$sql$".to_owned();
    while sql.contains(&tag) {
        tag.insert(1, '_');
    }
    format!(
        "DO $located$ BEGIN EXECUTE replace({tag}{sql}{tag}, '\"{SCHEMA}\"', quote_ident(current_schema())); END $located$;"
    )
}

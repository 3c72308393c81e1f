//! What the role of handlers needs: two functions of the queue's owner, which record an outcome in
//! a session of that role, and the right to call them. Made where an operator asks for it, and not
//! by `install`.

use sqlx::{Connection, PgConnection};

use super::error::SchemaError;
use super::grants::{Role, grant_statements};
use super::statement;
use crate::handler_role::{finish_function, put_back_function};
use crate::names::Names;
use crate::statements::WORKER_STATEMENTS;
use crate::SchemaFeatures;

/// Parameters that both begin with: as those of the statements.
const BOTH: &str = "bigint[], uuid, timestamptz[], integer[], bigint[], bigint[], bigint[], text[]";
const FINISH: &str = "text[], bytea[], bigint[], integer[], text[], bytea[], bigint[], text[], text[]";
const PUT_BACK: &str = "bigint[], integer[], text[]";
/// The history, and the token.
const END: &str = "text[], text[], bytea";

/// Stands for a schema that only the database knows. No schema of a deployment is called so.
const SCHEMA: &str = "pgq_host_schema_of_the_queue";

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
    let mut statements = grant_statements(names, worker);
    let in_schema = Names { schema: Some(names.schema.clone().unwrap_or_else(|| SCHEMA.into())), ..names.clone() };
    let to = handler.quoted();
    let mut ours = Vec::new();
    for (function, file, middle) in
        [(finish_function(names), "finish_with_extras", FINISH), (put_back_function(names), "put_back", PUT_BACK)]
    {
        let signature = format!("{}({BOTH}, {middle}, {END})", in_schema.qualified(&function));
        let token = 8 + middle.split(", ").count() + 3;
        ours.push(definition(&in_schema, &signature, file, token));
        ours.push(format!("REVOKE ALL ON FUNCTION {signature} FROM PUBLIC;"));
        ours.push(format!("GRANT EXECUTE ON FUNCTION {signature} TO {to};"));
    }
    ours.push(format!("GRANT USAGE ON SCHEMA {} TO {to};", quoted(in_schema.schema.as_deref().unwrap_or_default())));
    statements.extend(ours.into_iter().map(|sql| if names.schema.is_some() { sql } else { located(&sql) }));
    if worker != handler {
        statements.push(format!("GRANT {to} TO {};", worker.quoted()));
    }
    statements
}

/// The statement that workers send, behind a look at the token. Everything in it is qualified or
/// pg_catalog's, so that it means the same whatever the session has set; what could change the
/// meaning of its text is set here.
fn definition(names: &Names, signature: &str, file: &str, token: usize) -> String {
    let statement = WORKER_STATEMENTS.iter().find(|statement| statement.name == file).expect("a statement of workers");
    let body = statement.render(names, SchemaFeatures::ALL);
    let host = names.qualified(&names.host_table());
    format!(
        "CREATE OR REPLACE FUNCTION {signature} RETURNS SETOF bigint LANGUAGE plpgsql SECURITY DEFINER\n\
         SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET transform_null_equals = off\n\
         SET array_nulls = on AS $handler$\n\
         BEGIN\n\
         -- The token is the host's: of its key, this claim, this session and this transaction.\n\
         IF cardinality($1) IS DISTINCT FROM 1 OR sha256(${token}) IS DISTINCT FROM (\n\
             SELECT sha256(sha256(handler_key || sha256(convert_to(concat_ws(' ', $1[1],\n\
                 (extract(epoch FROM $3[1]) * 1000000)::bigint, pg_backend_pid(),\n\
                 (extract(epoch FROM now()) * 1000000)::bigint), 'UTF8'))))\n\
             FROM {host} WHERE id = $2)\n\
         THEN\n\
             RAISE insufficient_privilege USING MESSAGE = 'only the host records outcomes';\n\
         END IF;\n\
         RETURN QUERY {body};\n\
         END;\n\
         $handler$;"
    )
}

/// The same, with the schema that is the first of the search_path.
fn located(sql: &str) -> String {
    format!(
        "DO $located$ BEGIN EXECUTE replace($sql${sql}$sql$, '\"{SCHEMA}\"', quote_ident(current_schema())); END $located$;"
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

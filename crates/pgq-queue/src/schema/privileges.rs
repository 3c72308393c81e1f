//! What a worker's role lacks of what `grant` gives.

use sqlx::PgConnection;

use super::manifest::Manifest;
use super::object::{Kind, Owner};
use crate::names::Names;

/// Not EXECUTE on the triggers' functions: it is asked for when a trigger is made, never when it
/// fires.
const MISSING: &str = "WITH place AS ( \
        SELECT oid, nspname FROM pg_namespace WHERE nspname = coalesce($1, current_schema()) \
    ), relation AS ( \
        SELECT c.oid, c.relname FROM pg_class c JOIN place ON place.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p') AND c.relname = ANY ($3) \
    ) \
    SELECT format('CONNECT on database %s', current_database()) WHERE NOT has_database_privilege($2, current_database(), 'CONNECT') \
    UNION ALL SELECT format('USAGE on schema %s', nspname) FROM place WHERE NOT has_schema_privilege($2, oid, 'USAGE') \
    UNION ALL SELECT format('%s on %s', p.word, r.relname) FROM relation r, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(word) \
        WHERE NOT has_table_privilege($2, r.oid, p.word) \
    UNION ALL SELECT format('%s on sequence %s', p.word, s.relname) FROM relation r \
        JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = 'id' \
        JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.refobjsubid = a.attnum \
            AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
        JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S', unnest(ARRAY['USAGE', 'SELECT']) AS p(word) \
        WHERE r.relname = ANY ($4) AND NOT has_sequence_privilege($2, s.oid, p.word)";

/// The bare names of all declared tables, in lower case.
pub fn tables(names: &Names) -> Vec<String> {
    Manifest::new(names).tables().map(|(table, _)| table.name.clone()).collect()
}

/// What the role lacks, as `UPDATE on pgqueuer`. Tables that are not there are not asked for. The
/// role must exist.
pub async fn missing_privileges(conn: &mut PgConnection, names: &Names, role: &str) -> sqlx::Result<Vec<String>> {
    let manifest = Manifest::new(names);
    let has_id =
        |kind: &Kind| matches!(kind, Kind::Table { columns, .. } if columns.iter().any(|column| column.name == "id"));
    let numbered = manifest.tables().filter(|(table, _)| table.owner == Owner::PgQueuer && has_id(&table.kind));
    let numbered: Vec<String> = numbered.map(|(table, _)| table.name.clone()).collect();
    sqlx::query_scalar(MISSING)
        .bind(names.schema.as_deref())
        .bind(role)
        .bind(tables(names))
        .bind(numbered)
        .fetch_all(conn)
        .await
}

//! The declaration as statements that do nothing where everything is there: an upgrade for those
//! who may only run scripts.

use super::index::fold_buckets;
use super::install::create_schema;
use super::manifest::Manifest;
use super::object::{Column, Kind, Object};
use super::template::ColumnKind;
use crate::names::Names;

pub(super) fn statements(names: &Names, widen_id: bool) -> Vec<String> {
    let manifest = Manifest::new(names);
    let mut sql = Vec::new();
    sql.extend(names.schema.as_ref().map(|schema| create_schema(schema)));
    // PgQueuer clears these away as well.
    sql.push(format!("DROP INDEX IF EXISTS {};", names.qualified(&manifest.retired.index)));
    let (table, column) = &manifest.retired.column;
    sql.push(if_column(
        names,
        table,
        column,
        "is_nullable = 'NO'",
        &format!("ALTER TABLE {} ALTER COLUMN {column} DROP NOT NULL;", names.qualified(table)),
    ));
    for object in &manifest.objects {
        match &object.kind {
            Kind::Enum { labels } => {
                sql.push(guarded(&object.create, "duplicate_object"));
                // One statement each: a label cannot be used in the transaction that added it.
                sql.extend(
                    labels
                        .iter()
                        .map(|label| format!("ALTER TYPE {} ADD VALUE IF NOT EXISTS '{label}';", object.sql_name)),
                );
            }
            Kind::Table { columns, .. } => {
                sql.push(once(&object.create, "CREATE TABLE "));
                sql.extend(columns.iter().flat_map(|column| column_statements(names, object, column, widen_id)));
            }
            Kind::Index { table, tail, unique } => {
                let verb = if *unique { "CREATE UNIQUE INDEX " } else { "CREATE INDEX " };
                let counts = object.name.ends_with("_unique_count");
                let fold = if counts { fold_buckets(names, tail) } else { String::new() };
                sql.push(rebuilt_if_other(names, object, table, (*unique, tail), &fold));
                sql.push(once(&object.create, verb));
            }
            // These say OR REPLACE, or set what is set already.
            Kind::Function { .. } | Kind::Trigger { .. } | Kind::ReplicaIdentity => sql.push(object.create.clone()),
        }
    }
    sql.push(format!("DROP TYPE IF EXISTS {};", names.qualified(&manifest.retired.type_name)));
    sql
}

fn column_statements(names: &Names, table: &Object, column: &Column, widen_id: bool) -> Vec<String> {
    let mut sql = Vec::new();
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", table.sql_name, column.name);
    if column.kind == ColumnKind::Plain && !column.primary_key {
        sql.push(format!(
            "ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {};",
            table.sql_name, column.name, column.definition
        ));
        if column.type_name != column.type_sql {
            // Only the enum has another name in DDL than in the catalog. Statistics had one of
            // their own once.
            let retype = format!(
                "{alter} DROP DEFAULT; {alter} TYPE {} USING {}::text::{};",
                column.type_sql, column.name, column.type_sql
            );
            sql.push(if_column(
                names,
                &table.name,
                column.name,
                &format!("udt_name <> '{}'", column.type_name),
                &retype,
            ));
        }
        sql.push(match &column.default_sql {
            Some(default) => format!("{alter} SET DEFAULT {default};"),
            None => format!("{alter} DROP DEFAULT;"),
        });
        sql.push(format!("{alter} {} NOT NULL;", if column.not_null { "SET" } else { "DROP" }));
    }
    if widen_id && column.type_name == "bigint" {
        sql.push(if_column(names, &table.name, column.name, "data_type = 'integer'", &format!("{alter} TYPE bigint;")));
        if column.kind != ColumnKind::Plain {
            let sequence = format!("pg_get_serial_sequence('{}', '{}')", table.sql_name, column.name);
            sql.push(format!("DO $$ BEGIN EXECUTE format('ALTER SEQUENCE %s AS bigint', {sequence}); END $$;"));
        }
    }
    sql
}

/// An index that an earlier release declared otherwise, or that is invalid. One statement: nobody
/// sees the table without it.
fn rebuilt_if_other(names: &Names, index: &Object, table: &str, (unique, tail): (bool, &str), before: &str) -> String {
    let (schema, tail) = (schema(names), tail.replace('\'', "''"));
    format!(
        "DO $$ BEGIN\n\
         IF EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid\n    \
             JOIN pg_namespace n ON n.oid = i.relnamespace\n    \
             WHERE n.nspname = {schema} AND i.relname = '{}' AND c.relname = '{table}' AND NOT (x.indisvalid AND x.indisunique = {unique} AND right(\n    \
                 replace(pg_get_indexdef(i.oid), quote_ident({schema}) || '.', ''), length('{tail}')) = '{tail}')) THEN\n\
         DROP INDEX {};\n{before}{}\nEND IF;\nEND $$;",
        index.name, index.sql_name, index.create
    )
}

fn once(create: &str, verb: &str) -> String {
    if create.starts_with(&format!("{verb}IF NOT EXISTS")) {
        create.to_owned()
    } else {
        create.replacen(verb, &format!("{verb}IF NOT EXISTS "), 1)
    }
}

/// For what has no IF NOT EXISTS.
fn guarded(create: &str, already: &str) -> String {
    format!("DO $$ BEGIN {create} EXCEPTION WHEN {already} THEN NULL; END $$;")
}

fn if_column(names: &Names, table: &str, column: &str, condition: &str, then: &str) -> String {
    let schema = schema(names);
    format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM information_schema.columns WHERE table_schema = {schema} AND table_name = '{table}' \
         AND column_name = '{column}' AND {condition}) THEN {then} END IF; END $$;"
    )
}

fn schema(names: &Names) -> String {
    names.schema.as_ref().map_or_else(|| "current_schema()".to_owned(), |schema| format!("'{schema}'"))
}

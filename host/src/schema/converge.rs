//! The declaration as statements that do nothing where everything is there: an upgrade for those who may only run scripts.

use super::install::create_schema;
use super::manifest::{Column, Kind, Manifest, Object};
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
                sql.extend(labels.iter().map(|label| format!("ALTER TYPE {} ADD VALUE IF NOT EXISTS '{label}';", object.sql_name)));
            }
            Kind::Table { columns, .. } => {
                sql.push(once(&object.create, "CREATE TABLE "));
                sql.extend(columns.iter().flat_map(|column| column_statements(names, object, column, widen_id)));
            }
            Kind::Index { unique: true, .. } => sql.push(once(&object.create, "CREATE UNIQUE INDEX ")),
            Kind::Index { .. } => sql.push(once(&object.create, "CREATE INDEX ")),
            // These say OR REPLACE.
            Kind::Function { .. } | Kind::Trigger { .. } => sql.push(object.create.clone()),
        }
    }
    sql.push(format!("DROP TYPE IF EXISTS {};", names.qualified(&manifest.retired.type_name)));
    sql
}

fn column_statements(names: &Names, table: &Object, column: &Column, widen_id: bool) -> Vec<String> {
    let mut sql = Vec::new();
    if column.kind == ColumnKind::Plain && !column.primary_key {
        sql.push(format!("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {};", table.sql_name, column.name, column.definition));
        if let Some(default) = &column.default_sql {
            sql.push(format!("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {default};", table.sql_name, column.name));
        }
    }
    if widen_id && column.type_name == "bigint" {
        let alter = format!("ALTER TABLE {} ALTER COLUMN {} TYPE bigint;", table.sql_name, column.name);
        sql.push(if_column(names, &table.name, column.name, "data_type = 'integer'", &alter));
        if column.kind == ColumnKind::Serial {
            let sequence = format!("pg_get_serial_sequence('{}', '{}')", table.sql_name, column.name);
            sql.push(format!("DO $$ BEGIN EXECUTE format('ALTER SEQUENCE %s AS bigint', {sequence}); END $$;"));
        }
    }
    sql
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
    let schema = names.schema.as_ref().map_or_else(|| "current_schema()".to_owned(), |schema| format!("'{schema}'"));
    format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM information_schema.columns WHERE table_schema = {schema} AND table_name = '{table}' \
         AND column_name = '{column}' AND {condition}) THEN {then} END IF; END $$;"
    )
}

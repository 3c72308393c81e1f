//! The difference between the catalog and the declaration: one list, which `verify` tells and
//! `upgrade` works off.

use super::catalog::Catalog;
use super::finding::{Cure, Difference, Problem};
use super::manifest::{Manifest, one_line};
use super::object::{Kind, Object, Owner};
use super::{column, index, install};
use crate::names::Names;

/// All differences, in an order in which their cures can run: labels before what uses them, columns
/// before the indexes over them, retired types after the columns that had them.
pub(super) fn differences(names: &Names, live: &Catalog, declared: &Manifest) -> Vec<Difference> {
    let mut found = Vec::new();
    // PgQueuer 2.0.0 is known by this index of its own.
    let (statistics, _) = &declared.retired.column;
    let newer = live.indexes.get(&format!("{statistics}_created")).is_some_and(|index| index.table == *statistics);
    if let (Some(schema), false) = (&names.schema, live.schema_exists) {
        let cure = Cure::Run(vec![install::create_schema(schema)]);
        found.push(Difference::new(Problem::Missing, format!("schema {schema}"), String::new(), cure));
    }
    found.extend(outdated(live, declared));
    found.extend(retired_objects(names, live, declared));
    for object in &declared.objects {
        match &object.kind {
            Kind::Enum { labels } => found.extend(labels_of(live, object, labels)),
            Kind::Table { columns, uniques, .. } => match live.tables.get(&object.name) {
                Some(table) => found.extend(column::differences(table, object, columns, uniques)),
                None => found.push(Difference::missing(object, vec![object.create.clone()])),
            },
            Kind::Index { table, unique, tail } => {
                found.extend(index::difference(names, live, object, table, *unique, tail))
            }
            Kind::ReplicaIdentity if live.has(object) => {}
            Kind::ReplicaIdentity => found.push(Difference::missing(object, vec![object.create.clone()])),
            Kind::Function { body } => {
                found.extend(routine(newer, object, live.functions.get(&object.name), &one_line(body)));
            }
            Kind::Trigger { table, table_sql, definition } => {
                let installed = live.triggers.get(&(table.clone(), object.name.clone()));
                found.extend(routine(newer, object, installed.map(|(definition, _)| definition), definition));
                if installed.is_some_and(|(_, fires)| !fires) {
                    let cure = Cure::Run(vec![format!("ALTER TABLE {table_sql} ENABLE TRIGGER {};", object.name)]);
                    found.push(Difference::new(
                        Problem::Differs,
                        object.to_string(),
                        "it is disabled".to_owned(),
                        cure,
                    ));
                }
            }
        }
    }
    if live.enums.contains_key(&declared.retired.type_name) {
        let name = &declared.retired.type_name;
        let cure = vec![format!("DROP TYPE IF EXISTS {};", names.qualified(name))];
        found.push(leftover(format!("type {name}"), cure));
    }
    found
}

fn leftover(object: String, cure: Vec<String>) -> Difference {
    Difference::new(
        Problem::Unexpected,
        object,
        "an earlier release of PgQueuer left it behind".to_owned(),
        Cure::Run(cure),
    )
}

fn retired_objects(names: &Names, live: &Catalog, declared: &Manifest) -> Vec<Difference> {
    let mut found = Vec::new();
    let retired = &declared.retired;
    if live.indexes.contains_key(&retired.index) {
        let cure = vec![format!("DROP INDEX IF EXISTS {};", names.qualified(&retired.index))];
        found.push(leftover(format!("index {}", retired.index), cure));
    }
    let (table, column) = &retired.column;
    if live.tables.get(table).and_then(|table| table.columns.get(*column)).is_some_and(|column| column.not_null) {
        let cure = vec![format!("ALTER TABLE {} ALTER COLUMN {column} DROP NOT NULL;", names.qualified(table))];
        found.push(leftover(format!("NOT NULL of column {table}.{column}"), cure));
    }
    found
}

fn labels_of(live: &Catalog, object: &Object, labels: &[String]) -> Vec<Difference> {
    let Some(present) = live.enums.get(&object.name) else {
        return vec![Difference::missing(object, vec![object.create.clone()])];
    };
    // One statement each: a label cannot be used in the transaction that added it.
    let absent = labels.iter().filter(|label| !present.contains(label));
    absent
        .map(|label| {
            let cure = Cure::Run(vec![format!("ALTER TYPE {} ADD VALUE IF NOT EXISTS '{label}';", object.sql_name)]);
            Difference::new(Problem::Missing, format!("label '{label}' of {object}"), String::new(), cure)
        })
        .collect()
}

fn routine(newer: bool, object: &Object, installed: Option<&String>, declared: &str) -> Option<Difference> {
    match installed {
        Some(installed) if installed == declared => None,
        // A newer PgQueuer's own function and trigger are its own business: putting 1.6.0's back
        // would undo its upgrade.
        Some(_) if newer && object.owner == Owner::PgQueuer => None,
        Some(_) => {
            let detail = "its definition is another".to_owned();
            Some(Difference::new(Problem::Differs, object.to_string(), detail, Cure::Run(vec![object.create.clone()])))
        }
        None => Some(Difference::missing(object, vec![object.create.clone()])),
    }
}

/// Outputs and attempts that outlived their queue (`pgq uninstall` leaves them): job numbers start
/// again, so they would pass for the new jobs'.
fn outdated(live: &Catalog, declared: &Manifest) -> Vec<Difference> {
    let queue_is_gone = declared.tables().any(|(table, role)| role == "queue" && !live.has(table));
    let tables = declared
        .tables()
        .filter(|(table, role)| queue_is_gone && matches!(*role, "output" | "attempt") && live.has(table));
    let outdated = tables.map(|(table, _)| {
        let cure = Cure::Run(vec![format!("TRUNCATE {};", table.sql_name)]);
        let detail = "its rows belong to a queue that is gone".to_owned();
        Difference::new(Problem::Unexpected, format!("content of {table}"), detail, cure)
    });
    outdated.collect()
}

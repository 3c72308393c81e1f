//! One index against its declaration. A new definition is built beside the old one, so that the
//! table is never without it.

use super::advisory::crc32;
use super::catalog::{Catalog, LiveIndex};
use super::finding::{Cure, Difference, Problem};
use super::object::Object;
use crate::names::Names;

/// What differs, if anything; an index that was declared otherwise in an earlier release is
/// rebuilt.
pub(super) fn difference(
    names: &Names,
    live: &Catalog,
    index: &Object,
    table: &str,
    unique: bool,
    tail: &str,
) -> Option<Difference> {
    let declared = LiveIndex { table: table.to_owned(), unique, valid: true, tail: tail.to_owned() };
    let installed = live.indexes.get(&index.name);
    if installed == Some(&declared) {
        return None;
    }
    let mut cure = Vec::new();
    if index.name.ends_with("_unique_count") && live.tables.contains_key(table) {
        cure.push(fold_buckets(names, tail));
    }
    // PgQueuer's name for the replacement, so that each tool finishes what the other was cut off
    // at.
    let spare = format!("pgq_rebuild_{:08x}", crc32(index.name.as_bytes()));
    let spare_sql = names.qualified(&spare);
    let rename = format!("ALTER INDEX {spare_sql} RENAME TO {};", index.name);
    let Some(installed) = installed else {
        match live.indexes.get(&spare) {
            Some(leftover) if *leftover == declared => cure.push(rename),
            Some(_) => cure.extend([format!("DROP INDEX IF EXISTS {spare_sql};"), index.create.clone()]),
            None => cure.push(index.create.clone()),
        }
        return Some(Difference::missing(index, cure));
    };
    cure.push(format!("DROP INDEX IF EXISTS {spare_sql};"));
    cure.push(create_as(&index.create, &spare));
    // One round trip and so one transaction: nobody sees the table without the index.
    cure.push(format!("DROP INDEX {}; {rename}", index.sql_name));
    let detail =
        if installed.valid { format!("it is {}, declared {tail}", installed.tail) } else { "it is invalid".to_owned() };
    Some(Difference::new(Problem::Differs, index.to_string(), detail, Cure::Run(cure)))
}

/// The statement under another name.
fn create_as(create: &str, name: &str) -> String {
    let (head, on_table) = create.split_once(" ON ").expect("an index stands on a table");
    let (head, _) = head.rsplit_once(' ').expect("an index has a name");
    format!("{head} {name} ON {on_table}")
}

/// Before 0.19 a bucket of the statistics was also keyed by the time in the queue, so rows may
/// collide under today's key: the oldest takes the sum. The key is read off the index that is about
/// to be built.
pub(super) fn fold_buckets(names: &Names, tail: &str) -> String {
    let key = tail.trim_start_matches("USING btree (").trim_end_matches(')');
    let template = "WITH bucketed AS (\n    \
            SELECT id, sum(count) OVER bucket AS total, min(id) OVER bucket AS keeper\n    \
            FROM {statistics}\n    \
            WINDOW bucket AS (PARTITION BY <key>)\n\
        ), folded AS (\n    \
            DELETE FROM {statistics} USING bucketed\n    \
            WHERE {statistics}.id = bucketed.id AND bucketed.id <> bucketed.keeper\n\
        )\n\
        UPDATE {statistics} SET count = bucketed.total FROM bucketed\n\
        WHERE {statistics}.id = bucketed.id AND bucketed.id = bucketed.keeper AND {statistics}.count <> bucketed.total;";
    names.render(template).replace("<key>", key)
}

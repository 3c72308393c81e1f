//! The columns, the id sequence and the unique constraints of one table against their declaration.

use super::catalog::{LiveColumn, LiveTable};
use super::finding::{Cure, Difference, Problem};
use super::object::{Column, Kind, Object};
use super::template::ColumnKind;

/// What differs in a table that is there.
pub(super) fn differences(
    live: &LiveTable,
    table: &Object,
    columns: &[Column],
    uniques: &[Vec<&'static str>],
) -> Vec<Difference> {
    let mut found = Vec::new();
    for column in columns {
        let object = format!("column {}.{}", table.name, column.name);
        match live.columns.get(column.name) {
            Some(installed) => found.extend(changed(live, installed, table, column, &object)),
            None => found.push(Difference::new(Problem::Missing, object, String::new(), absent(table, column))),
        }
    }
    found.extend(narrow_sequence(live, table, columns));
    for unique in uniques.iter().filter(|unique| !live.uniques.iter().any(|columns| columns == *unique)) {
        let columns = unique.join(", ");
        let cure = Cure::Run(vec![format!("ALTER TABLE {} ADD UNIQUE ({columns});", table.sql_name)]);
        found.push(Difference::new(
            Problem::Missing,
            format!("constraint UNIQUE ({columns}) of {table}"),
            String::new(),
            cure,
        ));
    }
    found
}

fn absent(table: &Object, column: &Column) -> Cure {
    match column.kind {
        ColumnKind::Plain if !column.primary_key => {
            Cure::Run(vec![format!("ALTER TABLE {} ADD COLUMN {} {};", table.sql_name, column.name, column.definition)])
        }
        // A table without its own id is not one of ours to repair.
        _ => Cure::ByHand,
    }
}

fn changed(live: &LiveTable, installed: &LiveColumn, table: &Object, column: &Column, object: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs =
        |detail: String, cure: Cure| found.push(Difference::new(Problem::Differs, object.to_owned(), detail, cure));
    let alter = format!("ALTER TABLE {} ALTER COLUMN {}", table.sql_name, column.name);

    if installed.kind != column.kind {
        differs(
            "its values are made in another way than by a sequence or by nothing, as declared".to_owned(),
            Cure::ByHand,
        );
    }
    if installed.type_name != column.type_name {
        let detail = format!("it is {}, declared {}", installed.type_name, column.type_name);
        differs(detail, retype(installed, table, column, &alter));
    }
    if installed.not_null != column.not_null {
        let (verb, detail) = if column.not_null { ("SET", "it takes nulls") } else { ("DROP", "it takes no nulls") };
        differs(detail.to_owned(), Cure::Run(vec![format!("{alter} {verb} NOT NULL;")]));
    }
    if installed.default != column.default {
        let change = match &column.default_sql {
            Some(default) => format!("{alter} SET DEFAULT {default};"),
            None => format!("{alter} DROP DEFAULT;"),
        };
        let word = |default: &Option<String>| default.clone().unwrap_or_else(|| "none".to_owned());
        differs(
            format!("its default is {}, declared {}", word(&installed.default), word(&column.default)),
            Cure::Run(vec![change]),
        );
    }
    if column.primary_key && live.primary_key != [column.name] {
        differs("it is not the primary key".to_owned(), Cure::ByHand);
    }
    found
}

/// The two conversions that PgQueuer's releases ever needed.
fn retype(installed: &LiveColumn, table: &Object, column: &Column, alter: &str) -> Cure {
    let same_kind = installed.kind == column.kind;
    if same_kind && installed.type_name == "integer" && column.type_name == "bigint" {
        Cure::WidenId(format!("{alter} TYPE bigint;"))
    } else if same_kind && column.type_name != column.type_sql {
        // Only the status enum has another name in DDL than in the catalog.
        Cure::Run(vec![format!("{alter} TYPE {} USING {}::text::{};", column.type_sql, column.name, column.type_sql)])
    } else {
        Cure::Drift {
            table: table.name.clone(),
            column: column.name.to_owned(),
            installed: installed.type_name.clone(),
            declared: column.type_name.clone(),
        }
    }
}

/// Widening the column leaves its sequence capped at 2^31.
fn narrow_sequence(live: &LiveTable, table: &Object, columns: &[Column]) -> Option<Difference> {
    debug_assert!(matches!(table.kind, Kind::Table { .. }), "only a table has columns");
    let id = columns.iter().find(|column| column.name == "id" && column.kind != ColumnKind::Plain)?;
    let (sequence, type_name) = live.sequence.as_ref().filter(|(_, type_name)| *type_name != id.type_name)?;
    let detail = format!("it is {type_name}, declared {}", id.type_name);
    let cure = Cure::WidenId(format!("ALTER SEQUENCE {sequence} AS {};", id.type_name));
    Some(Difference::new(Problem::Differs, format!("sequence {sequence}"), detail, cure))
}

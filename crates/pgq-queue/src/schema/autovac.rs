//! When autovacuum comes by: PgQueuer's settings for tables whose rows live for milliseconds, and
//! for those that only grow.

use sqlx::PgConnection;

use super::error::SchemaError;
use super::manifest::Manifest;
use super::object::Owner;
use super::statement;
use crate::names::Names;

/// Rows come and go: dead ones must be cleared before claims wade through them, and HOT updates
/// need room in the page.
const CHURNING: [(&str, &str); 7] = [
    ("autovacuum_vacuum_scale_factor", "0.01"),
    ("autovacuum_vacuum_threshold", "1000"),
    ("autovacuum_analyze_scale_factor", "0.02"),
    ("autovacuum_analyze_threshold", "500"),
    ("autovacuum_vacuum_cost_limit", "10000"),
    ("autovacuum_vacuum_cost_delay", "0"),
    ("fillfactor", "70"),
];

/// Rows are added and stay: there is next to nothing to clear.
const GROWING: [(&str, &str); 4] = [
    ("autovacuum_vacuum_scale_factor", "0.95"),
    ("autovacuum_vacuum_threshold", "1000000"),
    ("autovacuum_analyze_scale_factor", "0.05"),
    ("autovacuum_analyze_threshold", "10000"),
];

/// Apply the settings, or take them back. No table is rewritten and no job waits.
pub async fn set_autovac(conn: &mut PgConnection, names: &Names, rollback: bool) -> Result<(), SchemaError> {
    for sql in statements(names, rollback) {
        statement::run_patiently(conn, &sql).await?;
    }
    Ok(())
}

/// What [`set_autovac`] runs, as a script; needs no connection.
pub fn sql_autovac(names: &Names, rollback: bool) -> String {
    statements(names, rollback).join("\n\n") + "\n"
}

/// PgQueuer's four tables; ours keep the server's settings.
fn statements(names: &Names, rollback: bool) -> Vec<String> {
    let manifest = Manifest::new(names);
    let tables = manifest.tables().filter(|(table, _)| table.owner == Owner::PgQueuer);
    let alter = tables.map(|(table, role)| {
        let settings: &[(&str, &str)] = if matches!(role, "queue" | "schedules") { &CHURNING } else { &GROWING };
        let (verb, lines): (_, Vec<String>) = if rollback {
            ("RESET", settings.iter().map(|(key, _)| format!("    {key}")).collect())
        } else {
            ("SET", settings.iter().map(|(key, value)| format!("    {key} = {value}")).collect())
        };
        format!("ALTER TABLE {} {verb} (\n{}\n);", table.sql_name, lines.join(",\n"))
    });
    alter.collect()
}

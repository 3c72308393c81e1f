//! Checks tables whose changes are published for logical replication. Without a replica identity,
//! PostgreSQL rejects updates and deletes: jobs cannot be claimed, or attempts pile up.

use super::finding::{CheckResult, Finding};
use super::target::{Target, quoted};
use pgq_queue::schema;

/// Each of our published tables, with its publications, whether they publish UPDATE and DELETE, and
/// its identity: `key`, `full` or `none`. An unlogged table is not published.
const PUBLISHED: &str = "SELECT c.relname::text, string_agg(p.pubname::text, ', ' ORDER BY p.pubname), bool_or(p.pubupdate), bool_or(p.pubdelete), \
        CASE WHEN c.relreplident = 'f' THEN 'full' \
             WHEN EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid \
                 AND CASE c.relreplident WHEN 'd' THEN x.indisprimary WHEN 'i' THEN x.indisreplident ELSE false END) THEN 'key' \
             ELSE 'none' END \
    FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname \
    JOIN pg_namespace n ON n.nspname = t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND c.relpersistence = 'p' AND (p.pubupdate OR p.pubdelete) \
    GROUP BY c.oid, c.relname, c.relreplident ORDER BY 1";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let names = &target.deployment.names;
    let published: Vec<(String, String, bool, bool, String)> = sqlx::query_as(PUBLISHED)
        .bind(names.schema.as_deref())
        .bind(schema::tables(names))
        .fetch_all(&mut *target.read_only().await?)
        .await?;
    let mut found = Vec::new();
    for (table, publications, updates, deletes, identity) in &published {
        let verbs = match (updates, deletes) {
            (true, true) => "changed or deleted",
            (true, false) => "changed",
            _ => "deleted",
        };
        match identity.as_str() {
            "none" => {
                let why =
                    format!("PostgreSQL does not allow rows of a published table without an identity to be {verbs}");
                let remedy = if *table == names.attempt_table() {
                    target.command("upgrade")
                } else {
                    format!(
                        "ALTER TABLE {} REPLICA IDENTITY DEFAULT; or take it out of the publication",
                        names.qualified(table)
                    )
                };
                found.push(Finding::error(
                    format!("{table} is in the publication {publications} and has no replica identity"),
                    why,
                    remedy,
                ));
            }
            "full" if *deletes => {
                let why = "for each row deleted here, a subscriber reads its whole table, unless an index helps \
                       (a B-tree on a column, from PostgreSQL 16 on)";
                let remedy = format!(
                    "on the subscriber: CREATE INDEX ON {} ({}); or publish named tables without it",
                    quoted(table),
                    if *table == names.attempt_table() { "job_id" } else { "id" },
                );
                found.push(Finding::note(
                    format!("{table} is in the publication {publications}, identified by whole rows"),
                    why,
                    remedy,
                ));
            }
            _ => {}
        }
    }
    if found.is_empty() {
        found.push(Finding::ok(match published.len() {
            0 => "no table of the queue is published".to_owned(),
            count => format!("{count} table(s) are published, each with a key"),
        }));
    }
    Ok(found)
}

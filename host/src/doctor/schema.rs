//! Checks the queue's objects: whether they exist, match this version, and are written to the WAL.

use super::finding::{CheckResult, Finding};
use super::target::Target;
use crate::version;
use pgq_queue::schema::{self, Expect, Problem, SchemaError};

/// Longer lists are cut, since they would bury the command that fixes everything.
const MAX_LISTED: usize = 8;

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let names = &target.deployment.names;
    let mut read_only = target.read_only().await?;
    let mut found = match schema::check_worker(&mut read_only, names).await {
        Ok(()) => Vec::new(),
        Err(SchemaError::Incomplete { place, missing, verb }) => {
            let why = "a host does not start without it";
            return Ok(vec![Finding::error(format!("missing in {place}: {missing}"), why, target.command(verb))]);
        }
        Err(error) => return Err(read(error)),
    };
    let mut different = schema::verify(&mut read_only, names, Expect::Present).await.map_err(read)?;
    // Leftovers of another release do no harm.
    different.retain(|finding| finding.problem != Problem::Unexpected);
    if !different.is_empty() {
        let count = different.len();
        let listed: Vec<String> = different.iter().take(MAX_LISTED).map(ToString::to_string).collect();
        let rest = if count > MAX_LISTED { format!(", and {} more", count - MAX_LISTED) } else { String::new() };
        let what = if count == 1 { "1 object is not".to_owned() } else { format!("{count} objects are not") };
        let found_text = format!("{what} as version {} declares: {}{rest}", version::BUILD, listed.join(", "));
        let why = "hosts run, but without what is missing: an index, a wider id, a notification";
        let remedy = format!("{}; then the same without --plan", target.command("upgrade --plan"));
        found.push(Finding::warning(found_text, why, remedy));
    }
    let unlogged = unlogged(target).await?;
    if !unlogged.is_empty() {
        let why = "they are empty after a crash or a fail-over of the server, and a standby has none of their rows";
        let found_text = format!("not written to the WAL (unlogged): {}", unlogged.join(", "));
        found.push(Finding::note(
            found_text,
            why,
            format!("{}, unless that is intended", target.command("durability durable")),
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("{names}: as version {} declares, all tables logged", version::BUILD)));
    }
    Ok(found)
}

async fn unlogged(target: &Target<'_>) -> sqlx::Result<Vec<String>> {
    let tables = schema::tables(&target.deployment.names);
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND c.relkind = 'r' AND c.relpersistence = 'u' \
         ORDER BY 1",
    )
    .bind(target.deployment.names.schema.as_deref())
    .bind(tables)
    .fetch_all(&mut *target.read_only().await?)
    .await
}

/// Any error that prevents reading the catalog.
fn read(error: SchemaError) -> sqlx::Error {
    match error {
        SchemaError::Catalog(source) | SchemaError::Refused { source, .. } | SchemaError::Busy { source, .. } => source,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

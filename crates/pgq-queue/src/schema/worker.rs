//! The gate a worker passes before it claims its first job: reads the catalog, changes nothing, and
//! needs no rights on the objects.

use sqlx::PgConnection;

use super::error::SchemaError;
use crate::names::Names;

/// Every object that the run-time statements name or rely on, as kind, object, part. It is less
/// than the whole declaration: a database of an earlier release whose differences do not matter to
/// a worker is good enough. What the newest release added is not in it before the next one
/// (migrations/README.md): see `queue/additions.rs`.
const NEEDED: &[(&str, &str, &[&str])] = &[
    ("table", "{log}", &[""]),
    ("table", "{statistics}", &[""]),
    ("table", "{schedules}", &[""]),
    ("table", "{output}", &[""]),
    ("table", "{queue}", &[""]),
    (
        "column",
        "{queue}",
        &["updated", "heartbeat", "queue_manager_id", "execute_after", "dedupe_key", "headers", "attempts", "slot"],
    ),
    ("column", "{log}", &["traceback", "aggregated"]),
    ("label", "{status}", &["queued", "picked", "successful", "exception", "canceled", "deleted", "failed"]),
    // Two workers could take the same slot of a concurrency limit, and two jobs the same dedupe
    // key, without these.
    ("index", "{queue}", &["{queue.bare}_picked_slot_idx", "{queue.bare}_unique_dedupe_key"]),
    ("index", "{log}", &["{log.bare}_job_id_status"]),
    ("trigger", "{queue}", &["{trigger.bare}", "{requeued_trigger.bare}"]),
];

const MISSING: &str = "WITH needed AS ( \
        SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS n(kind, object, part, place) \
    ), relation AS ( \
        SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = coalesce($1, current_schema()) AND c.relkind IN ('r', 'p') AND c.relname = ANY ($3) \
    ) \
    SELECT quote_ident(coalesce($1, current_schema())), kind, object, part FROM needed \
    WHERE NOT CASE kind \
        WHEN 'table' THEN EXISTS (SELECT FROM relation r WHERE r.relname = object) \
        WHEN 'column' THEN EXISTS (SELECT FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid \
            WHERE r.relname = object AND a.attname = part AND NOT a.attisdropped) \
        WHEN 'index' THEN EXISTS (SELECT FROM relation r JOIN pg_index x ON x.indrelid = r.oid AND x.indisvalid \
            JOIN pg_class i ON i.oid = x.indexrelid WHERE r.relname = object AND i.relname = part) \
        WHEN 'trigger' THEN EXISTS (SELECT FROM relation r JOIN pg_trigger t ON t.tgrelid = r.oid \
            WHERE r.relname = object AND t.tgname = part AND t.tgenabled IN ('O', 'A')) \
        ELSE EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace JOIN pg_enum l ON l.enumtypid = t.oid \
            WHERE n.nspname = coalesce($1, current_schema()) AND t.typname = object AND l.enumlabel = part) \
    END ORDER BY place";

/// Refuse to work on a database that lacks what `run` needs. One query.
pub async fn check_worker(conn: &mut PgConnection, names: &Names) -> Result<(), SchemaError> {
    let bare = Names { schema: None, ..names.clone() };
    let catalog = |template: &str| bare.render(template).replace('"', "").to_lowercase();
    let (mut kinds, mut objects, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, object, needed) in NEEDED {
        for part in *needed {
            kinds.push(*kind);
            objects.push(catalog(object));
            parts.push(catalog(part));
        }
    }
    let missing: Vec<(Option<String>, String, String, String)> = sqlx::query_as(MISSING)
        .persistent(false)
        .bind(names.schema.as_deref())
        .bind(&kinds)
        .bind(&objects)
        .bind(&parts)
        .fetch_all(conn)
        .await?;
    let Some((schema, ..)) = missing.first() else { return Ok(()) };
    let place =
        schema.as_ref().map_or_else(|| "the search_path, which names no schema".to_owned(), |s| format!("schema {s}"));
    let is_gone = |kind: &str, object: &str| missing.iter().any(|(_, k, o, _)| k == kind && o == object);
    let nothing_there = is_gone("table", &catalog("{queue}")) && is_gone("table", &catalog("{log}"));
    // What belongs to a table that is missing itself needs no mention.
    let told = missing.iter().filter(|(_, kind, object, _)| kind == "table" || !is_gone("table", object));
    let told: Vec<String> = told
        .map(|(_, kind, object, part)| match kind.as_str() {
            "table" => format!("table {object}"),
            "column" => format!("column {object}.{part}"),
            "label" => format!("label '{part}' of enum {object}"),
            _ => format!("{kind} {part}"),
        })
        .collect();
    let verb = if nothing_there { "install" } else { "upgrade" };
    Err(SchemaError::Incomplete { place, missing: told.join(", "), verb })
}

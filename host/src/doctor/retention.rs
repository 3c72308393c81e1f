//! Checks whether a long log is kept on purpose.

use super::finding::{CheckResult, Finding};
use super::target::Target;
use pgq_queue::PrunedTable;

/// A log of this many rows has some gigabytes.
const LONG: f32 = 10_000_000.0;

/// The estimate of the last vacuum or analysis; counting would read the whole table.
const SIZE: &str = "SELECT c.reltuples, pg_size_pretty(pg_total_relation_size(c.oid)) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = $2 AND c.relkind IN ('r', 'p')";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let names = &target.deployment.names;
    let size: Option<(f32, String)> = sqlx::query_as(SIZE)
        .bind(names.schema.as_deref())
        .bind(names.log_table.to_lowercase())
        .fetch_optional(&mut *target.read_only().await?)
        .await?;
    let Some((rows, size)) = size else {
        return Ok(vec![Finding::note(
            format!("{} does not exist, so it was not checked", names.log_table),
            "",
            "see `schema`",
        )]);
    };
    Ok(vec![match target.deployment.retention.prunes(PrunedTable::Log) {
        true => Finding::ok(format!("old rows of the log are removed; it has {size}")),
        false if rows < LONG => Finding::ok(format!("the log is kept for ever; it has {size}")),
        false => Finding::note(
            format!("the log has about {:.0} million rows ({size}), and nothing is ever removed", rows / 1e6),
            "three rows for every job, in four indexes: disk, backups, and the time of each vacuum grow with them",
            "`log = \"90d\"` under [retention] in the hosts' pgq-host.toml; or `pgq-host prune --apply` from a schedule",
        ),
    }])
}

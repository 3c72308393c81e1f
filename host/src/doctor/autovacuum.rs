//! Checks whether dead rows are removed. A queue leaves three for every job.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::finding::{CheckResult, Finding};
use super::setting;
use super::target::{Target, quoted};
use pgq_queue::schema;

/// Fewer dead rows are not worth a finding.
const MANY_DEAD: i64 = 50_000;
/// Half of the two billion transactions that a database can tell apart.
const OLD_AGE: i32 = 1_000_000_000;

#[derive(Debug)]
struct Table {
    name: String,
    disabled: bool,
    tuned: bool,
    live: i64,
    dead: i64,
    vacuumed: Option<String>,
}

impl FromRow<'_, PgRow> for Table {
    fn from_row(row: &PgRow) -> sqlx::Result<Table> {
        Ok(Table {
            name: row.try_get("name")?,
            disabled: row.try_get("disabled")?,
            tuned: row.try_get("tuned")?,
            live: row.try_get("live")?,
            dead: row.try_get("dead")?,
            vacuumed: row.try_get("vacuumed")?,
        })
    }
}

/// The options as given to `CREATE TABLE`, which accepts several spellings of "false".
const TABLES: &str = "SELECT c.relname::text AS name, \
        EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o ~* '^autovacuum_enabled=(f|n|of|0)') AS disabled, \
        EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o ~ '^autovacuum_vacuum_(scale_factor|threshold)=') AS tuned, \
        pg_stat_get_live_tuples(c.oid) AS live, pg_stat_get_dead_tuples(c.oid) AS dead, \
        to_char(greatest(pg_stat_get_last_autovacuum_time(c.oid), pg_stat_get_last_vacuum_time(c.oid)) AT TIME ZONE 'UTC', \
            'YYYY-MM-DD HH24:MI') AS vacuumed \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND c.relkind = 'r' ORDER BY 1";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let mut found = Vec::new();
    let settings = setting::read(target, &["autovacuum", "track_counts"]).await?;
    for (name, setting) in settings.iter().filter(|(_, setting)| setting.is_off()) {
        let why = match name.as_str() {
            "autovacuum" => {
                "nothing removes the rows of finished jobs: the tables grow without end, and claims read past dead rows"
            }
            _ => "autovacuum cannot tell where dead rows are, and does nothing",
        };
        found.push(Finding::error(format!("{name} = off"), why, setting.remedy(target, name, "on")));
    }
    let names = &target.deployment.names;
    let mut read_only = target.read_only().await?;
    let tables: Vec<Table> = sqlx::query_as(TABLES)
        .bind(names.schema.as_deref())
        .bind(schema::tables(names))
        .fetch_all(&mut *read_only)
        .await?;
    for table in &tables {
        let name = names.qualified(&table.name);
        if table.disabled {
            let why =
                "nothing removes the dead rows of this table: it grows without end, and reading it becomes slower";
            let remedy = format!("ALTER TABLE {name} RESET (autovacuum_enabled);");
            found.push(Finding::error(format!("autovacuum is off for {}", table.name), why, remedy));
        }
        if table.dead > MANY_DEAD.max(table.live) {
            let when =
                table.vacuumed.as_ref().map_or("never vacuumed".to_owned(), |when| format!("last vacuumed {when} UTC"));
            let what = format!("{} has {} dead rows beside {} live ones, {when}", table.name, table.dead, table.live);
            let why = "claims read past them; a long transaction (see `transactions`) may keep them from being removed";
            found.push(Finding::warning(
                what,
                why,
                format!("VACUUM (ANALYZE) {name}; and {}", target.command("autovac")),
            ));
        }
    }
    let queue = names.queue_table.to_lowercase();
    if tables.iter().any(|table| table.name == queue && !table.tuned) {
        let why = "with the server's defaults, a fifth of the queue's rows may be dead before it is vacuumed: 200,000 in a backlog of a million";
        found.push(Finding::note(
            format!("{queue} is vacuumed with the server's default settings"),
            why,
            target.command("autovac"),
        ));
    }
    found.extend(wraparound(target, &mut read_only).await?);
    if found.is_empty() {
        found.push(if tables.iter().any(|table| table.name == queue) {
            Finding::ok("on, with PgQueuer's settings for the queue; no table is full of dead rows")
        } else {
            Finding::note(format!("on; {queue} does not exist, so it was not checked"), "", "see `schema`")
        });
    }
    Ok(found)
}

async fn wraparound(target: &Target<'_>, read_only: &mut sqlx::PgConnection) -> sqlx::Result<Option<Finding>> {
    let age: i32 = sqlx::query_scalar("SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()")
        .fetch_one(read_only)
        .await?;
    let why = "at two billion the server accepts no more writes; something keeps autovacuum from freezing old rows (see `transactions`)";
    let found = || format!("the oldest unfrozen transaction of the database is {age} transactions old");
    Ok((age > OLD_AGE)
        .then(|| Finding::error(found(), why, format!("vacuumdb --freeze --dbname {}", quoted(&target.database)))))
}

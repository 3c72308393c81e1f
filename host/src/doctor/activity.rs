//! Transactions that keep dead rows from being removed, whatever autovacuum does.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::finding::{CheckResult, Finding};
use super::target::{Target, quoted};

/// Where the duration is not visible, this many later transactions count as long: a queue with
/// hundreds of jobs a second makes them in minutes.
const MANY_LATER: i32 = 100_000;

const WHY: &str = "no row that died since it began can be removed, in any table of the database: claims read past the rows of all jobs \
                   finished since then";

#[derive(Debug)]
struct Holder {
    pid: i32,
    role: Option<String>,
    application: String,
    state: Option<String>,
    /// Seconds since it began. Not every role may see it.
    open: Option<f64>,
    age: i32,
}

impl FromRow<'_, PgRow> for Holder {
    fn from_row(row: &PgRow) -> sqlx::Result<Holder> {
        Ok(Holder {
            pid: row.try_get("pid")?,
            role: row.try_get("role")?,
            application: row.try_get("application")?,
            state: row.try_get("state")?,
            open: row.try_get("open")?,
            age: row.try_get("age")?,
        })
    }
}

/// Only sessions of this database, and those of standbys: others do not affect our tables. An
/// autovacuum worker's snapshot holds nothing back.
const SESSIONS: &str = "SELECT pid, usename::text AS role, coalesce(application_name, '') AS application, state, \
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS open, \
        greatest(age(backend_xmin), age(backend_xid)) AS age \
    FROM pg_stat_activity \
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid() \
      AND (datname = current_database() OR (datname IS NULL AND usename IS NOT NULL)) AND backend_type IS DISTINCT FROM 'autovacuum worker' \
    ORDER BY age DESC";

const PREPARED: &str = "SELECT gid, owner::text, extract(epoch FROM clock_timestamp() - prepared)::float8 FROM pg_prepared_xacts \
    WHERE database = current_database() ORDER BY prepared";

const SLOTS: &str =
    "SELECT slot_name::text, active, age(xmin) FROM pg_replication_slots WHERE xmin IS NOT NULL ORDER BY 1";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let limit = target.deployment.long_transaction;
    let mut read_only = target.read_only().await?;
    let holders: Vec<Holder> = sqlx::query_as(SESSIONS).fetch_all(&mut *read_only).await?;
    let mut found: Vec<Finding> = holders.iter().filter_map(|holder| holder.finding(limit)).collect();
    let prepared: Vec<(String, String, f64)> = sqlx::query_as(PREPARED).fetch_all(&mut *read_only).await?;
    for (gid, owner, open) in prepared.into_iter().filter(|(_, _, open)| *open > limit.as_secs_f64()) {
        let what = format!("the prepared transaction {gid:?} of {owner} has been open for {}", long(open));
        let remedy = format!("ROLLBACK PREPARED '{0}'; or COMMIT PREPARED '{0}';", gid.replace('\'', "''"));
        found.push(Finding::warning(what, WHY, remedy));
    }
    let slots: Vec<(String, bool, i32)> = sqlx::query_as(SLOTS).fetch_all(&mut *read_only).await?;
    for (slot, active, age) in slots.into_iter().filter(|(_, active, age)| !active || *age > MANY_LATER) {
        let state = if active { "in use" } else { "not in use" };
        let what = format!("the replication slot {slot:?}, {state}, holds back the dead rows of {age} transactions");
        let remedy = format!("if its standby no longer exists: SELECT pg_drop_replication_slot('{slot}');");
        found.push(Finding::warning(what, WHY, remedy));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("none holds dead rows for longer than {}", humantime::format_duration(limit))));
    }
    Ok(found)
}

impl Holder {
    fn finding(&self, limit: Duration) -> Option<Finding> {
        let who = match self.application.as_str() {
            "" => format!("process {} of role {}", self.pid, quoted(self.role.as_deref().unwrap_or("?"))),
            name => format!("process {} ({name}) of role {}", self.pid, quoted(self.role.as_deref().unwrap_or("?"))),
        };
        let end = format!("SELECT pg_terminate_backend({});", self.pid);
        match self.open {
            Some(open) if open > limit.as_secs_f64() => {
                let state = self.state.as_deref().unwrap_or("open");
                let what = format!(
                    "{who} has had a transaction open for {} ({state}), since {} transactions ago",
                    long(open),
                    self.age
                );
                let role = quoted(self.role.as_deref().unwrap_or("?"));
                let remedy = format!(
                    "{end} to prevent it in future: ALTER ROLE {role} SET idle_in_transaction_session_timeout = '1min';"
                );
                Some(Finding::warning(what, WHY, remedy))
            }
            None if self.age > MANY_LATER => {
                let what = format!(
                    "{who} has had a transaction open since {} transactions ago; this role cannot see for how long",
                    self.age
                );
                Some(Finding::warning(
                    what,
                    WHY,
                    format!("{end} (or GRANT pg_read_all_stats to the role that runs this command, to see more)"),
                ))
            }
            _ => None,
        }
    }
}

fn long(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.max(0.0) as u64)).to_string()
}

//! Checks whether the server accepts writes, and whether its version is one that pgq-host is tested
//! with.

use super::finding::{CheckResult, Finding};
use super::target::Target;
use pgq_queue::{NEWEST_SERVER, OLDEST_SERVER};

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let mut read_only = target.read_only().await?;
    let (version, number, standby, encoding): (String, i32, bool, String) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery(), \
         current_setting('server_encoding')",
    )
    .fetch_one(&mut *read_only)
    .await?;
    let mut found = Vec::new();
    if standby {
        let why = "a standby accepts no writes: no job can be enqueued, claimed or finished";
        found.push(Finding::error(
            "the server is a standby (pg_is_in_recovery)",
            why,
            "use the primary server's address in --pg-dsn or PGHOST",
        ));
    }
    match u32::try_from(number / 10_000).unwrap_or_default() {
        major if major < OLDEST_SERVER => {
            let why = "the schema needs CREATE OR REPLACE TRIGGER, and PgQueuer supports 14 to 18";
            let remedy = format!("upgrade the server to PostgreSQL {OLDEST_SERVER} or later");
            found.push(Finding::error(format!("PostgreSQL {version}"), why, remedy));
        }
        major if major > NEWEST_SERVER => {
            found.push(Finding::note(format!("PostgreSQL {version}"), "pgq-host has not been tested with it", ""))
        }
        _ => {}
    }
    if encoding != "UTF8" {
        let why = "jobs and their errors are UTF-8, and characters that the encoding lacks cannot be stored: errors show them escaped, jobs \
                   whose names, keys or headers contain them cannot be enqueued, and a handler that enqueues such a job has its own job held";
        let remedy = "create the database again: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'";
        found.push(Finding::warning(format!("the database's encoding is {encoding}"), why, remedy));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("PostgreSQL {version}, a primary server")));
    }
    Ok(found)
}

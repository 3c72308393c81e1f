//! The server itself: whether it can be written to, and whether its version is one that this is
//! tried with.

use super::finding::{Finding, Seen};
use super::target::Target;
use pgq_queue::{NEWEST_SERVER, OLDEST_SERVER};

pub(super) async fn check(target: &Target<'_>) -> Seen {
    let mut look = target.look().await?;
    let (version, number, standby, encoding): (String, i32, bool, String) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery(), \
         current_setting('server_encoding')",
    )
    .fetch_one(&mut *look)
    .await?;
    let mut found = Vec::new();
    if standby {
        let why = "a standby takes no writes: no job can be enqueued, claimed or finished";
        found.push(Finding::error(
            "the server is a standby (pg_is_in_recovery)",
            why,
            "name the primary server in --pg-dsn or PGHOST",
        ));
    }
    match u32::try_from(number / 10_000).unwrap_or_default() {
        major if major < OLDEST_SERVER => {
            let why = "the schema needs CREATE OR REPLACE TRIGGER, and PgQueuer supports 14 to 18";
            let remedy = format!("upgrade the server to PostgreSQL {OLDEST_SERVER} or later");
            found.push(Finding::error(format!("PostgreSQL {version}"), why, remedy));
        }
        major if major > NEWEST_SERVER => {
            found.push(Finding::note(format!("PostgreSQL {version}"), "pgq-host is not tried with it yet", ""))
        }
        _ => {}
    }
    if encoding != "UTF8" {
        let why = "text of jobs and of their errors is UTF-8; what the encoding lacks cannot be stored: errors have it written out, jobs \
            whose names, keys or headers need it cannot be enqueued, and a handler that asks for one is held";
        let remedy = "make the database anew: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'";
        found.push(Finding::warning(format!("the database's encoding is {encoding}"), why, remedy));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("PostgreSQL {version}, a primary server")));
    }
    Ok(found)
}

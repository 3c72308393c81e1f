//! Checks whether the server has enough connections for all hosts.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::finding::{CheckResult, Finding};
use super::target::{Target, quoted};
use pgq_queue as queue;

/// The pool's minimum. With fewer, a host could not send heartbeats while it claims.
const LEAST: usize = 2;

#[derive(Debug)]
struct Budget {
    /// The limit for everybody but superusers.
    most: i32,
    others: i32,
    /// The role's limit; -1 means none.
    role_limit: i32,
    role_others: i32,
    /// The database's limit; -1 means none.
    database_limit: i32,
    database_others: i32,
}

impl FromRow<'_, PgRow> for Budget {
    fn from_row(row: &PgRow) -> sqlx::Result<Budget> {
        Ok(Budget {
            most: row.try_get("most")?,
            others: row.try_get("others")?,
            role_limit: row.try_get("role_limit")?,
            role_others: row.try_get("role_others")?,
            database_limit: row.try_get("database_limit")?,
            database_others: row.try_get("database_others")?,
        })
    }
}

/// The sessions of hosts, and of commands such as this one, are told from others' by their name.
/// `reserved_connections` came with PostgreSQL 16.
const BUDGET: &str = "WITH others AS ( \
        SELECT usename, datname FROM pg_stat_activity \
        WHERE usesysid IS NOT NULL AND backend_type IS DISTINCT FROM 'walsender' AND application_name IS DISTINCT FROM $2 \
    ) \
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int \
        - coalesce(current_setting('reserved_connections', true), '0')::int AS most, \
    (SELECT count(*) FROM others)::int AS others, \
    coalesce((SELECT rolconnlimit FROM pg_roles WHERE rolname = $1 AND NOT rolsuper), -1) AS role_limit, \
    (SELECT count(*) FROM others WHERE usename = $1)::int AS role_others, \
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_limit, \
    (SELECT count(*) FROM others WHERE datname = current_database())::int AS database_others";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let application = target.deployment.database.application_name();
    let budget: Budget =
        sqlx::query_as(BUDGET).bind(&target.role).bind(application).fetch_one(&mut *target.read_only().await?).await?;
    let each = queue::pool_size().map_err(|mistake| sqlx::Error::Configuration(mistake.into()))?;
    // The command may be asking about a host that is not running yet.
    let hosts = match target.deployment.hosts {
        Some(hosts) => hosts,
        None => target.operator().hosts().await.map_or(1, |hosts| hosts.len().max(1)),
    };
    let (role, database) = (quoted(&target.role), quoted(&target.database));
    let limits = [
        (
            "the server",
            budget.most,
            budget.others,
            "ALTER SYSTEM SET max_connections = ...; and a restart of the server".to_owned(),
        ),
        ("the role", budget.role_limit, budget.role_others, format!("ALTER ROLE {role} CONNECTION LIMIT ...;")),
        (
            "the database",
            budget.database_limit,
            budget.database_others,
            format!("ALTER DATABASE {database} CONNECTION LIMIT ...;"),
        ),
    ];
    let wanted = hosts * each;
    let mut found = Vec::new();
    let mut room = usize::MAX;
    for (whose, limit, others, raise) in limits.into_iter().filter(|(_, limit, ..)| *limit >= 0) {
        let left = usize::try_from(limit - others).unwrap_or(0);
        room = room.min(left);
        if left >= wanted {
            continue;
        }
        let what = format!(
            "{hosts} host(s) with up to {each} connections each need {wanted}; {whose} allows {limit}, and others use {others}"
        );
        let why = "a host that gets no connection waits for one, and so do its heartbeats";
        let remedy =
            format!("{raise} or fewer connections per host (PGQUEUER_POOL_MAX_SIZE, {LEAST} at least), or fewer hosts");
        found.push(if left < hosts * LEAST {
            Finding::error(what, why, remedy)
        } else {
            Finding::warning(what, why, remedy)
        });
    }
    if found.is_empty() {
        found.push(Finding::ok(format!(
            "{hosts} host(s) with up to {each} connections each need {wanted}; there is room for {room}"
        )));
    }
    Ok(found)
}

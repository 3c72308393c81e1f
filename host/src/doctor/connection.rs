//! Checks whether the database can be reached, with the address and the role that a host would use.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::deployment::Deployment;
use super::finding::Finding;
use super::target::Target;
use pgq_queue as queue;
use pgq_queue::told::told;

/// A host sends two statements per claim and waits for each, while other jobs run.
const FAR: Duration = Duration::from_millis(20);

pub(super) async fn check(deployment: &Deployment) -> Result<(Target<'_>, Finding), Finding> {
    // A single connection, because a pool tries again and again and does not say why each attempt
    // failed.
    let mut alone = queue::in_time(PgConnection::connect_with(&deployment.database))
        .await
        .map_err(|error| refused(deployment, &error))?;
    let mut round_trip = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        alone.ping().await.map_err(|error| refused(deployment, &error))?;
        round_trip = round_trip.min(asked.elapsed());
    }
    let _ = alone.close().await;
    let target = Target::connect(deployment).await.map_err(|error| refused(deployment, &error))?;
    let place = format!("{}:{}", deployment.database.get_host(), deployment.database.get_port());
    let (me, database) = (&target.me, &target.database);
    let found =
        format!("{place} answers role {me:?} in database {database:?}, in {:.1} ms", round_trip.as_secs_f64() * 1e3);
    let finding = if round_trip < FAR {
        Finding::ok(found)
    } else {
        let why = "every claim and every outcome waits for an answer; a host far from its database needs many concurrent jobs to be fast";
        Finding::note(found, why, "run hosts near the database; otherwise raise --max-concurrent-tasks")
    };
    Ok((target, finding))
}

fn refused(deployment: &Deployment, error: &sqlx::Error) -> Finding {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    let message = told(error);
    let remedy = match &*code {
        "53300" => {
            "SELECT usename, application_name, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC; then raise max_connections, \
             or the role's or the database's limit (ALTER ROLE ... CONNECTION LIMIT, ALTER DATABASE ... CONNECTION LIMIT)"
        }
        "08P01" if message.contains("extra_float_digits") => {
            "ignore_startup_parameters = extra_float_digits in pgbouncer.ini"
        }
        "42501" => "GRANT CONNECT ON DATABASE ... TO the role; `pgq-host grant ROLE` includes it",
        _ => "set --pg-dsn, or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE",
    };
    let (host, port) = (deployment.database.get_host(), deployment.database.get_port());
    let found = format!("{host}:{port} does not let {:?} in: {message}", deployment.database.get_username());
    Finding::error(found, "without a database there are no jobs; nothing else about it could be checked", remedy)
}

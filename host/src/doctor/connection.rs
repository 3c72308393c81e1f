//! Checks whether the database can be reached, with the address and the role that a host would use.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, FromRow as _, PgConnection};

use super::deployment::Deployment;
use super::finding::Finding;
use super::target::Target;
use pgq_queue::told::told;

/// A host sends two statements per claim and waits for each, while other jobs run.
const FAR: Duration = Duration::from_millis(20);

pub(super) async fn check(deployment: &Deployment) -> Result<(Target<'_>, Finding), Finding> {
    // A single connection, because a pool tries again and again and does not say why each attempt
    // failed.
    let mut alone = deployment.database.connect_to_any().await.map_err(|error| refused(deployment, &error))?;
    let mut round_trip = Duration::MAX;
    for _ in 0..3 {
        let asked = Instant::now();
        alone.ping().await.map_err(|error| refused(deployment, &error))?;
        round_trip = round_trip.min(asked.elapsed());
    }
    let server = Server::ask(&mut alone).await.map_err(|error| refused(deployment, &error))?;
    let _ = alone.close().await;
    let target = Target::connect(deployment).await.map_err(|error| refused(deployment, &error))?;
    let place = &deployment.database;
    let (me, database) = (&target.me, &target.database);
    let found = format!(
        "{place} answers role {me:?} in database {database:?}, in {:.1} ms: {}{}",
        round_trip.as_secs_f64() * 1e3,
        server.told(),
        said_by(deployment)
    );
    let finding = if server.is_standby || server.is_read_only {
        let why = "nothing can be claimed or recorded there";
        Finding::error(found, why, "name the primary server, or all servers and target_session_attrs=read-write")
    } else if round_trip < FAR {
        Finding::ok(found)
    } else {
        let why = "every claim and every outcome waits for an answer; a host far from its database needs many concurrent jobs to be fast";
        Finding::note(found, why, "run hosts near the database; otherwise raise --max-concurrent-tasks")
    };
    Ok((target, finding))
}

/// The server that is at the other end.
#[derive(Debug, sqlx::FromRow)]
struct Server {
    address: Option<String>,
    is_standby: bool,
    is_read_only: bool,
    tls: Option<String>,
}

impl Server {
    async fn ask(connection: &mut PgConnection) -> sqlx::Result<Server> {
        const SERVER: &str = "
            SELECT host(inet_server_addr()) || ':' || inet_server_port() AS address, pg_is_in_recovery() AS is_standby,
                current_setting('transaction_read_only')::boolean AS is_read_only,
                (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls";
        // In one message: behind a pooler, the next one may go to another session.
        Server::from_row(&sqlx::raw_sql(SERVER).fetch_one(connection).await?)
    }

    fn told(&self) -> String {
        let kind = match (self.is_standby, self.is_read_only) {
            (true, _) => "a standby",
            (false, true) => "read-only",
            (false, false) => "a primary",
        };
        let place = self.address.as_deref().map_or("over a socket".to_owned(), |address| format!("at {address}"));
        let tls = self.tls.as_deref().unwrap_or("not encrypted");
        format!("{kind} {place}, {tls}")
    }
}

/// Where the parameters come from, without their values.
fn said_by(deployment: &Deployment) -> String {
    let mut by: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (parameter, origin) in deployment.database.said_by() {
        by.entry(origin).or_default().push(parameter);
    }
    by.iter().map(|(origin, parameters)| format!("; {} from {origin}", parameters.join(", "))).collect()
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
    let found = format!("{} does not let {:?} in: {message}", deployment.database, deployment.database.user());
    Finding::error(found, "without a database there are no jobs; nothing else about it could be checked", remedy)
}

//! Connections: where the database is, how long to wait for it, how many there may be. PgQueuer's variables over libpq's.

use std::future::Future;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::dsn::{Dsn, checked_port, several};
use super::session::{Connector, Deadlines, Sessions};
use super::source::Source;
use crate::environment::variable;

/// Claims, outcomes, heartbeats and upkeep are one statement each. PgQueuer's default.
const POOL_MAX_SIZE: u32 = 5;
/// The listener keeps one for good; what is left must not be none.
const POOL_LEAST_SIZE: u32 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What libpq would read and the driver does not: the variable, the DSN's parameter, what does no harm, and what to do. To connect
/// elsewhere, or with less of a check than was asked for, is worse than not to connect.
const NOT_SUPPORTED: [(&str, &str, &[&str], &str); 7] = [
    ("PGSERVICE", "service", &[], "write the service's settings as a DSN, or as PGHOST, PGPORT, PGUSER, PGDATABASE"),
    ("PGSSLCRL", "sslcrl", &[], "revocation lists are not read"),
    ("PGSSLCRLDIR", "sslcrldir", &[], "revocation lists are not read"),
    ("PGREQUIREPEER", "requirepeer", &[], "the peer's user is not checked; use TLS with sslmode=verify-full"),
    ("PGREQUIREAUTH", "require_auth", &[], "the way to authenticate is the server's choice; say it in pg_hba.conf"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs", &["any"], "name the primary server itself"),
    ("PGCHANNELBINDING", "channel_binding", &["prefer", "disable"], "use sslmode=verify-full, which proves the server's identity as well"),
];

/// Where the database is.
///
/// Without a DSN, libpq's variables (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGPASSFILE`, ...) say so,
/// and they fill in what a DSN leaves out.
pub fn connect_options(dsn: Option<&str>) -> Result<PgConnectOptions, String> {
    read(dsn).map(|(options, _)| options)
}

/// The options, and how long the DSN has a connection take.
pub(super) fn read(dsn: Option<&str>) -> Result<(PgConnectOptions, Option<Duration>), String> {
    Settings::read(variable)?;
    let dsn = dsn.map(Dsn::read).transpose()?;
    for (name, value) in dsn.iter().flat_map(|dsn| &dsn.parameters) {
        let refused = NOT_SUPPORTED.iter().find(|(_, parameter, harmless, _)| parameter == name && !harmless.contains(&value.as_str()));
        if let Some((_, _, _, remedy)) = refused {
            return Err(format!("the DSN has {name}, which pgq-host cannot honour: {remedy}; then take it out"));
        }
    }
    let mut options = match &dsn {
        // Not the DSN itself: it may hold a password.
        Some(dsn) => PgConnectOptions::from_str(&dsn.url)
            .map_err(|error| format!("the DSN cannot be read: {error}; write it like postgresql://user@host:5432/database"))?,
        None => PgConnectOptions::new(),
    };
    // An empty variable is an unset one.
    if options.get_host().is_empty() {
        options = options.host(&variable("PGHOST").unwrap_or_else(|| "localhost".into()));
    }
    let unnamed = dsn.as_ref().is_none_or(|dsn| !dsn.url.contains("?user=") && !dsn.url.contains("&user=")) && variable("PGUSER").is_none();
    if unnamed {
        let user = whoami::username().map_err(
            |_| "no user is named, and the system has no name for the one that this runs as: write it into the DSN, or set PGUSER",
        )?;
        options = options.username(&user);
    }
    // A pooler refuses what it does not know, and all that this one does is the default since PostgreSQL 12.
    let options = options.extra_float_digits(None::<i8>);
    let options = match (variable("PGQUEUER_APPLICATION_NAME"), options.get_application_name()) {
        (Some(name), _) => options.application_name(&name),
        // Of the DSN, or PGAPPNAME.
        (None, Some(name)) if !name.is_empty() => options,
        (None, _) => options.application_name("pgq-host"),
    };
    Ok((options, dsn.and_then(|dsn| dsn.connect_timeout)))
}

/// Whether a parameter of a DSN is known, and may be refused because of its value.
pub(super) fn is_refused(parameter: &str) -> bool {
    NOT_SUPPORTED.iter().any(|(_, name, _, _)| *name == parameter)
}

/// A pool of the driver's, with sessions as a worker has them, for a tool.
pub async fn connect(options: PgConnectOptions) -> sqlx::Result<PgPool> {
    let settings = Settings::read(variable).map_err(configuration)?;
    let connector = connector(options.clone().into(), Sessions::Ours(None), None)?;
    let pool = PgPoolOptions::new().min_connections(settings.pool_min_size).max_connections(settings.pool_max_size);
    let pool = pool.acquire_timeout(settings.connect_timeout).after_connect(move |connection, _| {
        let connector = connector.clone();
        Box::pin(async move { connector.set_up(connection).await })
    });
    match pool.connect_with(options.clone()).await {
        // The pool tries until its time is over, and then does not say why each try failed.
        Err(sqlx::Error::PoolTimedOut) => {
            Err(in_time(PgConnection::connect_with(&options)).await.err().unwrap_or(sqlx::Error::PoolTimedOut))
        }
        connected => connected,
    }
}

/// What makes sessions there. `statement`: how long a statement may take, unless the default is to be.
pub(super) fn connector(source: Source, sessions: Sessions, statement: Option<Duration>) -> sqlx::Result<Connector> {
    let settings = Settings::read(variable).map_err(configuration)?;
    let timeout = source.connect_timeout().unwrap_or(settings.connect_timeout);
    Ok(Connector { source, sessions, timeout, deadlines: Deadlines::of(statement) })
}

/// A connection attempt, given up after the time that the variables allow.
pub async fn in_time<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(Settings::read(variable).map_err(configuration)?.connect_timeout, connecting).await
}

pub(super) async fn within<T>(time: Duration, connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(time, connecting)
        .await
        .unwrap_or_else(|_| Err(timed_out(format!("no answer within {time:?} (PGQUEUER_CONNECT_TIMEOUT)"))))
}

pub(super) fn timed_out(what: impl Into<String>) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what.into()))
}

/// Connections that one host may come to have.
pub fn pool_size() -> Result<usize, String> {
    Settings::read(variable).map(|settings| settings.pool_max_size as usize)
}

/// Sessions to keep, and to have at most.
pub(super) fn pool_sizes() -> sqlx::Result<(usize, usize)> {
    let settings = Settings::read(variable).map_err(configuration)?;
    Ok((settings.pool_min_size as usize, settings.pool_max_size as usize))
}

pub(super) fn configuration(mistake: String) -> sqlx::Error {
    sqlx::Error::Configuration(mistake.into())
}

/// The variables that the driver does not read by itself, or reads without complaint when they make no sense.
#[derive(Debug, PartialEq)]
struct Settings {
    pool_min_size: u32,
    pool_max_size: u32,
    connect_timeout: Duration,
}

impl Settings {
    fn read(env: impl Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let mut mistakes = Vec::new();
        let mut number = |name: &str, default: u32, least: u32| match env(name).map(|value| (value.trim().parse::<u32>(), value)) {
            None => default,
            Some((Ok(number), _)) if number >= least => number,
            Some((_, value)) => {
                mistakes.push(format!("{name} is {value:?}, which is not a number from {least} on"));
                default
            }
        };
        let pool_max_size = number("PGQUEUER_POOL_MAX_SIZE", POOL_MAX_SIZE, 1).max(POOL_LEAST_SIZE);
        // A pool that is full before it starts is no mistake worth stopping for.
        let pool_min_size = number("PGQUEUER_POOL_MIN_SIZE", 0, 0).min(pool_max_size);
        let connect_timeout = match timeout(&env) {
            Ok(timeout) => timeout,
            Err(mistake) => {
                mistakes.push(mistake);
                CONNECT_TIMEOUT
            }
        };
        if let Some(Err(mistake)) =
            env("PGPORT").map(|port| if port.contains(',') { Err(several(&port)) } else { checked_port(port.trim()).map(drop) })
        {
            mistakes.push(format!("PGPORT: {mistake}"));
        }
        if let Some(hosts) = env("PGHOST").filter(|host| host.contains(',')) {
            mistakes.push(format!("PGHOST: {}", several(&hosts)));
        }
        if let Some(address) = env("PGHOSTADDR").filter(|address| address.parse::<IpAddr>().is_err()) {
            mistakes.push(format!("PGHOSTADDR is {address:?}, which is no IP address; PGHOST takes names"));
        }
        if let Some(mode) = env("PGSSLMODE")
            && mode.parse::<PgSslMode>().is_err()
        {
            // The driver would fall back to `prefer`, which accepts a connection without TLS.
            mistakes.push(format!("PGSSLMODE is {mode:?}; use disable, allow, prefer, require, verify-ca or verify-full"));
        }
        for (name, _, harmless, remedy) in NOT_SUPPORTED {
            if env(name).is_some_and(|value| !harmless.contains(&value.as_str())) {
                mistakes.push(format!("{name} is set, which pgq-host cannot honour: {remedy}; then unset it"));
            }
        }
        if mistakes.is_empty() { Ok(Settings { pool_min_size, pool_max_size, connect_timeout }) } else { Err(mistakes.join("\n")) }
    }
}

/// PgQueuer's variable goes before libpq's, for which 0 is no limit.
fn timeout(env: &impl Fn(&str) -> Option<String>) -> Result<Duration, String> {
    const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
    for (name, zero_is_for_ever) in [("PGQUEUER_CONNECT_TIMEOUT", false), ("PGCONNECT_TIMEOUT", true)] {
        let Some(value) = env(name) else { continue };
        return match value.trim().parse::<f64>() {
            Ok(seconds) if seconds > 0.0 => Ok(Duration::try_from_secs_f64(seconds).unwrap_or(FOR_EVER).min(FOR_EVER)),
            Ok(seconds) if zero_is_for_ever && seconds <= 0.0 => Ok(FOR_EVER),
            _ => Err(format!("{name} is {value:?}, which is not a number of seconds")),
        };
    }
    Ok(CONNECT_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(env: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_and_pgqueuers_variables() {
        let defaults = Settings { pool_min_size: 0, pool_max_size: 5, connect_timeout: CONNECT_TIMEOUT };
        assert_eq!(read(&[]), Ok(defaults));
        let set = [("PGQUEUER_POOL_MIN_SIZE", "2"), ("PGQUEUER_POOL_MAX_SIZE", "8"), ("PGQUEUER_CONNECT_TIMEOUT", "2.5")];
        let all = Settings { pool_min_size: 2, pool_max_size: 8, connect_timeout: Duration::from_millis(2500) };
        assert_eq!(read(&set), Ok(all));
        assert_eq!(read(&[("PGQUEUER_POOL_MAX_SIZE", "1")]).map(|s| s.pool_max_size), Ok(2), "the listener has one for itself");
    }

    #[test]
    fn pgqueuers_timeout_goes_before_libpqs_whose_zero_is_no_limit() {
        let timeout = |env: &[(&str, &str)]| read(env).map(|settings| settings.connect_timeout.as_secs());
        assert_eq!(timeout(&[("PGCONNECT_TIMEOUT", "3"), ("PGQUEUER_CONNECT_TIMEOUT", "4")]), Ok(4));
        assert_eq!(timeout(&[("PGCONNECT_TIMEOUT", "3")]), Ok(3));
        assert!(timeout(&[("PGCONNECT_TIMEOUT", "0")]).expect("no limit") > 1_000_000);
        assert!(timeout(&[("PGQUEUER_CONNECT_TIMEOUT", "0")]).is_err());
    }

    #[test]
    fn a_dsn_may_ask_for_nothing_that_is_not_done_and_is_not_repeated_when_it_cannot_be_read() {
        for parameter in ["service=jobs", "channel_binding=require", "target_session_attrs=read-write"] {
            let said = connect_options(Some(&format!("postgresql:///?sslmode=require&{parameter}"))).expect_err("refused");
            assert!(parameter.starts_with(said.split(' ').nth(3).unwrap_or("?").trim_end_matches(',')), "{said}");
        }
        assert!(connect_options(Some("postgresql:///?channel_binding=prefer&target_session_attrs=any")).is_ok());
        let said = connect_options(Some("host=db password=secret")).expect_err("refused");
        assert!(said.contains("postgresql://user@host") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn what_cannot_be_honoured_is_said_all_at_once() {
        let env = [
            ("PGSERVICE", "jobs"),
            ("PGSSLMODE", "verify_full"),
            ("PGQUEUER_POOL_MAX_SIZE", "many"),
            ("PGCONNECT_TIMEOUT", "soon"),
            ("PGPORT", "x"),
        ];
        let said = read(&env).expect_err("refused");
        for (name, value) in env {
            assert!(said.contains(name), "{name} {value}: {said}");
        }
        assert!(read(&[("PGTARGETSESSIONATTRS", "any")]).is_ok());
    }
}

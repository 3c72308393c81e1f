//! Connections: where the database is, how long to wait for it, how many there may be. PgQueuer's variables over libpq's.

use std::future::Future;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use uuid::Uuid;

use super::presence;
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
    Settings::read(variable)?;
    if let Some((_, parameters)) = dsn.and_then(|dsn| dsn.split_once('?')) {
        let parameter = |wanted: &str| parameters.split('&').find_map(|pair| pair.strip_prefix(wanted)?.strip_prefix('='));
        for (_, name, harmless, remedy) in NOT_SUPPORTED {
            if parameter(name).is_some_and(|value| !harmless.contains(&value)) {
                return Err(format!("the DSN has {name}, which pgq-host cannot honour: {remedy}; then take it out"));
            }
        }
    }
    let options = match dsn {
        // Not the DSN itself: it may hold a password.
        // libpq takes `user@/database?host=/folder`, where the parser sees an empty host.
        Some(dsn) => PgConnectOptions::from_str(&dsn.replacen("@/", "@localhost/", 1))
            .map_err(|error| format!("the DSN cannot be read: {error}; write it like postgresql://user@host:5432/database"))?,
        None => PgConnectOptions::new(),
    };
    // A pooler refuses what it does not know, and all that this one does is the default since PostgreSQL 12.
    let options = options.extra_float_digits(None::<i8>);
    Ok(match (variable("PGQUEUER_APPLICATION_NAME"), options.get_application_name()) {
        (Some(name), _) => options.application_name(&name),
        // Of the DSN, or PGAPPNAME.
        (None, Some(_)) => options,
        (None, None) => options.application_name("pgq-host"),
    })
}

/// Every statement here is written for one plan, of index look-ups; a queue table's statistics, true for the moment they were
/// taken, can only mislead the planner away from it (a claim that sorts the whole backlog: 50 ms against 1). And compiling such a
/// statement takes PostgreSQL longer than running it.
pub(super) const PLANNER: &str = "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; \
    SET plan_cache_mode = force_generic_plan";

/// Whose the sessions behind our connections are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sessions {
    /// Ours for as long as the connection lasts. Each is a worker's sign of life, where there is one, before it is anything else.
    Ours(Option<Uuid>),
    /// A pooler's: nothing is set in them.
    Lent,
}

/// A pool as a worker has it, for a tool.
pub async fn connect(options: PgConnectOptions) -> sqlx::Result<PgPool> {
    open(options, Sessions::Ours(None)).await
}

pub(super) async fn open(options: PgConnectOptions, sessions: Sessions) -> sqlx::Result<PgPool> {
    let settings = Settings::read(variable).map_err(configuration)?;
    let connected = PgPoolOptions::new()
        .min_connections(settings.pool_min_size)
        .max_connections(settings.pool_max_size)
        .acquire_timeout(settings.connect_timeout)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                let Sessions::Ours(worker) = sessions else { return Ok(()) };
                if let Some(worker) = worker {
                    connection.execute(presence::lock(worker)).await?;
                }
                connection.execute(PLANNER).await?;
                Ok(())
            })
        })
        .connect_with(options.clone())
        .await;
    match connected {
        // The pool tries until its time is over, and then does not say why each try failed.
        Err(sqlx::Error::PoolTimedOut) => {
            Err(in_time(PgConnection::connect_with(&options)).await.err().unwrap_or(sqlx::Error::PoolTimedOut))
        }
        connected => connected,
    }
}

/// A connection attempt, given up after the time that the variables allow.
pub async fn in_time<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    let settings = Settings::read(variable).map_err(configuration)?;
    match tokio::time::timeout(settings.connect_timeout, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("no answer within {:?} (PGQUEUER_CONNECT_TIMEOUT)", settings.connect_timeout),
        ))),
    }
}

/// Connections that one host may come to have.
pub fn pool_size() -> Result<usize, String> {
    Settings::read(variable).map(|settings| settings.pool_max_size as usize)
}

fn configuration(mistake: String) -> sqlx::Error {
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
        let env = [("PGSERVICE", "jobs"), ("PGSSLMODE", "verify_full"), ("PGQUEUER_POOL_MAX_SIZE", "many"), ("PGCONNECT_TIMEOUT", "soon")];
        let said = read(&env).expect_err("refused");
        for (name, value) in env {
            assert!(said.contains(name), "{name} {value}: {said}");
        }
        assert!(read(&[("PGTARGETSESSIONATTRS", "any")]).is_ok());
    }
}

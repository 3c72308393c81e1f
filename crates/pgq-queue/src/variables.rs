//! Environment variables about connections: PgQueuer's, and the time that libpq's allows.

use std::future::Future;
use std::time::Duration;

use super::timeout::within;
use crate::environment::variable;

/// PgQueuer's default. Claims, outcomes, heartbeats and upkeep take one connection each.
const POOL_MAX_SIZE: u32 = 5;
/// The listener keeps one for good, and one must be left.
const POOL_LEAST_SIZE: u32 = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection attempt with the deadline of `PGQUEUER_CONNECT_TIMEOUT`.
pub async fn in_time<T>(connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    within(timeout()?, connecting).await
}

/// That deadline.
pub(super) fn timeout() -> sqlx::Result<Duration> {
    Variables::read(variable).map(|settings| settings.connect_timeout).map_err(configuration)
}

/// Connections of one host, at most.
pub fn pool_size() -> Result<usize, String> {
    Variables::read(variable).map(|settings| settings.pool_max_size as usize)
}

/// Sessions of one host: the least that are kept open, and the most.
pub(super) fn pool_sizes() -> sqlx::Result<(usize, usize)> {
    let settings = Variables::read(variable).map_err(configuration)?;
    Ok((settings.pool_min_size as usize, settings.pool_max_size as usize))
}

pub(super) fn configuration(mistake: String) -> sqlx::Error {
    sqlx::Error::Configuration(mistake.into())
}

/// Variables that are PgQueuer's own.
#[derive(Debug, PartialEq)]
pub(super) struct Variables {
    pub(super) pool_min_size: u32,
    pub(super) pool_max_size: u32,
    pub(super) connect_timeout: Duration,
}

impl Variables {
    pub(super) fn read(env: impl Fn(&str) -> Option<String>) -> Result<Variables, String> {
        let mut mistakes = Vec::new();
        let mut number =
            |name: &str, default: u32, least: u32| match env(name).map(|value| (value.trim().parse::<u32>(), value)) {
                None => default,
                Some((Ok(number), _)) if number >= least => number,
                Some((_, value)) => {
                    mistakes.push(format!("{name} is {value:?}, which is not a number from {least} on"));
                    default
                }
            };
        let pool_max_size = number("PGQUEUER_POOL_MAX_SIZE", POOL_MAX_SIZE, 1).max(POOL_LEAST_SIZE);
        // More sessions to keep than to have is no mistake worth stopping for.
        let pool_min_size = number("PGQUEUER_POOL_MIN_SIZE", 0, 0).min(pool_max_size);
        let connect_timeout = match read_timeout(&env) {
            Ok(timeout) => timeout,
            Err(mistake) => {
                mistakes.push(mistake);
                CONNECT_TIMEOUT
            }
        };
        if mistakes.is_empty() {
            Ok(Variables { pool_min_size, pool_max_size, connect_timeout })
        } else {
            Err(mistakes.join("\n"))
        }
    }
}

/// PgQueuer's variable takes precedence over libpq's, where 0 means no limit.
fn read_timeout(env: &impl Fn(&str) -> Option<String>) -> Result<Duration, String> {
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

    fn read(env: &[(&str, &str)]) -> Result<Variables, String> {
        Variables::read(|name| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_and_pgqueuers_variables() {
        let defaults = Variables { pool_min_size: 0, pool_max_size: 5, connect_timeout: CONNECT_TIMEOUT };
        assert_eq!(read(&[]), Ok(defaults));
        let set =
            [("PGQUEUER_POOL_MIN_SIZE", "2"), ("PGQUEUER_POOL_MAX_SIZE", "8"), ("PGQUEUER_CONNECT_TIMEOUT", "2.5")];
        let all = Variables { pool_min_size: 2, pool_max_size: 8, connect_timeout: Duration::from_millis(2500) };
        assert_eq!(read(&set), Ok(all));
        assert_eq!(
            read(&[("PGQUEUER_POOL_MAX_SIZE", "1")]).map(|s| s.pool_max_size),
            Ok(2),
            "the listener has one for itself"
        );
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
    fn what_cannot_be_honoured_is_said_all_at_once() {
        let env = [("PGQUEUER_POOL_MAX_SIZE", "many"), ("PGQUEUER_POOL_MIN_SIZE", "-1"), ("PGCONNECT_TIMEOUT", "soon")];
        let said = read(&env).expect_err("refused");
        for (name, value) in env {
            assert!(said.contains(name), "{name} {value}: {said}");
        }
    }
}

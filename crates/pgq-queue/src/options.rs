//! Where the database is: what the DSN, a service file and the variables come to, as the driver takes
//! it.

use std::fmt::Write as _;
use std::str::FromStr as _;

use pgq_connect::{Endpoint, Route, SslMode, encoded};
use sqlx::postgres::PgConnectOptions;

use super::variables::Variables;
use crate::environment::{system_user, variable};

/// Where the database is, for a driver that goes there by itself: the first server, where there are
/// several. Whoever opens sessions uses a [`Source`](super::Source).
///
/// Without a DSN, libpq's variables say so: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
/// `PGDATABASE`, `PGSSLMODE`, `PGPASSFILE` and so on. They also fill in what a DSN leaves out.
pub fn connect_options(dsn: Option<&str>) -> Result<PgConnectOptions, String> {
    of_route(&route(dsn, Beside::Everything)?)
}

/// What counts beside a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// Services, variables and files.
    Everything,
    /// The DSN says everything itself.
    Nothing,
}

/// All mistakes at once.
pub(super) fn route(dsn: Option<&str>, beside: Beside) -> Result<Route, String> {
    let found = |name: &str| variable(name).filter(|_| beside == Beside::Everything);
    match (Variables::read(variable), Route::read(dsn, &found, system_user)) {
        (Ok(_), Ok(route)) => Ok(route),
        (Err(mistakes), Ok(_)) | (Ok(_), Err(mistakes)) => Err(mistakes),
        (Err(first), Err(second)) => Err(format!("{first}\n{second}")),
    }
}

/// The first server of the route.
pub(super) fn of_route(route: &Route) -> Result<PgConnectOptions, String> {
    let url = url(route, &route.endpoints[0]);
    // The message does not repeat the URL, which may hold a password.
    let options =
        PgConnectOptions::from_str(&url).map_err(|error| format!("the driver does not take the DSN: {error}"))?;
    // A pooler refuses parameters that it does not know, and what this one sets is the default
    // since PostgreSQL 12.
    let options = options.extra_float_digits(None::<i8>);
    let name = variable("PGQUEUER_APPLICATION_NAME");
    let name = name.or_else(|| route.settings().get("application_name").map(str::to_owned));
    Ok(options.application_name(name.as_deref().unwrap_or("pgq-host")))
}

/// Everything in the query, the one form that the driver reads as it is meant.
fn url(route: &Route, endpoint: &Endpoint) -> String {
    let mut url = String::from("postgresql:///?");
    let mut add = |name: &str, value: &str| {
        let _ = write!(url, "{name}={}&", encoded(value));
    };
    add("host", &endpoint.host);
    add("port", &endpoint.port.to_string());
    add("user", &route.user);
    // Without one, the server takes the user's name, and so does whoever reads these options.
    if let Some(database) = &route.database {
        add("dbname", database);
    }
    if let Some(password) = route.password(endpoint) {
        add("password", &password);
    }
    add("sslmode", of_mode(route.encryption.mode));
    // The driver reads PGOPTIONS itself, and appends these.
    if let Some(options) = route.settings().get("options").filter(|_| !route.settings().is_variables("options")) {
        add("options", options);
    }
    if let Some(capacity) = route.settings().get("statement-cache-capacity") {
        add("statement-cache-capacity", capacity);
    }
    url
}

fn of_mode(mode: SslMode) -> &'static str {
    match mode {
        SslMode::Disable => "disable",
        SslMode::Allow => "allow",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        SslMode::VerifyCa => "verify-ca",
        SslMode::VerifyFull => "verify-full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dsn: &str) -> PgConnectOptions {
        let route = Route::read(Some(dsn), &|_| None, || Some("me".into())).expect(dsn);
        of_route(&route).expect(dsn)
    }

    #[test]
    fn the_driver_gets_what_was_meant() {
        let options = read("postgresql://u%20x:p%40w+x@[fe80::1%25eth0]:6/d%2Fb?options[a]=x%20y&sslmode=require");
        assert_eq!((options.get_host(), options.get_port()), ("fe80::1%eth0", 6));
        assert_eq!((options.get_username(), options.get_database()), ("u x", Some("d/b")));
        assert!(options.get_options().is_some_and(|options| options.ends_with(r"-c a=x\ y")));
        let options = read("host=/run/pg user=u dbname='a b'");
        assert_eq!(options.get_socket().and_then(|folder| folder.to_str()), Some("/run/pg"));
        assert_eq!((options.get_port(), options.get_database()), (5432, Some("a b")));
        assert_eq!(options.get_application_name(), Some("pgq-host"));
    }

    #[test]
    fn a_dsn_may_ask_for_nothing_that_is_not_done() {
        for parameter in ["require_auth=scram-sha-256", "sslpassword=secret", "gssencmode=require"] {
            let said = connect_options(Some(&format!("postgresql:///?{parameter}"))).expect_err("refused");
            assert!(said.contains(parameter.split('=').next().unwrap_or("?")) && !said.contains("secret"), "{said}");
        }
    }
}

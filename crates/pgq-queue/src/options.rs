//! Where the database is: PgQueuer's variables over libpq's, and a DSN over both.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::dsn::Dsn;
use super::unsupported::NOT_SUPPORTED;
use super::variables::Variables;
use crate::environment::variable;

/// Where the database is.
///
/// Without a DSN, libpq's variables say so: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`,
/// `PGDATABASE`, `PGSSLMODE`, `PGPASSFILE` and so on. They also fill in what a DSN leaves out.
pub fn connect_options(dsn: Option<&str>) -> Result<PgConnectOptions, String> {
    read(dsn).map(|(options, _)| options)
}

/// The options, and the DSN's `connect_timeout`.
pub(super) fn read(dsn: Option<&str>) -> Result<(PgConnectOptions, Option<Duration>), String> {
    Variables::read(variable)?;
    let dsn = dsn.map(Dsn::read).transpose()?;
    for (name, value) in dsn.iter().flat_map(|dsn| &dsn.parameters) {
        let refused = NOT_SUPPORTED
            .iter()
            .find(|(_, parameter, harmless, _)| parameter == name && !harmless.contains(&value.as_str()));
        if let Some((_, _, _, remedy)) = refused {
            return Err(format!("the DSN has {name}, which pgq-host cannot honour: {remedy}; then take it out"));
        }
    }
    let mut options = match &dsn {
        // The message does not repeat the DSN, which may hold a password.
        Some(dsn) => PgConnectOptions::from_str(&dsn.url).map_err(|error| {
            format!("the DSN cannot be read: {error}; write it like postgresql://user@host:5432/database")
        })?,
        None => PgConnectOptions::new(),
    };
    // An empty variable is an unset one.
    if options.get_host().is_empty() {
        options = options.host(&variable("PGHOST").unwrap_or_else(|| "localhost".into()));
    }
    let unnamed = dsn.as_ref().is_none_or(|dsn| !dsn.url.contains("?user=") && !dsn.url.contains("&user="))
        && variable("PGUSER").is_none();
    if unnamed {
        let user = whoami::username().map_err(
            |_| "no user is named, and the system has no name for the one that this runs as: write it into the DSN, or set PGUSER",
        )?;
        options = options.username(&user);
    }
    // A pooler refuses parameters that it does not know, and what this one sets is the default
    // since PostgreSQL 12.
    let options = options.extra_float_digits(None::<i8>);
    let options = match (variable("PGQUEUER_APPLICATION_NAME"), options.get_application_name()) {
        (Some(name), _) => options.application_name(&name),
        // From the DSN or PGAPPNAME.
        (None, Some(name)) if !name.is_empty() => options,
        (None, _) => options.application_name("pgq-host"),
    };
    Ok((options, dsn.and_then(|dsn| dsn.connect_timeout)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_may_ask_for_nothing_that_is_not_done_and_is_not_repeated_when_it_cannot_be_read() {
        for parameter in ["service=jobs", "channel_binding=require", "target_session_attrs=read-write"] {
            let said =
                connect_options(Some(&format!("postgresql:///?sslmode=require&{parameter}"))).expect_err("refused");
            assert!(parameter.starts_with(said.split(' ').nth(3).unwrap_or("?").trim_end_matches(',')), "{said}");
        }
        assert!(connect_options(Some("postgresql:///?channel_binding=prefer&target_session_attrs=any")).is_ok());
        let said = connect_options(Some("host=db password=secret")).expect_err("refused");
        assert!(said.contains("postgresql://user@host") && !said.contains("secret"), "{said}");
    }
}

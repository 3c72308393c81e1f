//! Where to go, as whom, and how: what the settings come to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::attrs::SessionAttrs;
use crate::encryption::{Encryption, SslMode};
use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::passfile::{self, Login};
use crate::settings::Settings;

const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Cheap enough to make for each session, which is how changes of its sources take effect.
#[derive(Clone)]
pub struct Route {
    pub endpoints: Vec<Endpoint>,
    pub user: String,
    /// `None`: the one called like the user.
    pub database: Option<String>,
    pub attrs: SessionAttrs,
    pub encryption: Encryption,
    /// For one host of the list, from the DSN or a service.
    pub connect_timeout: Option<Duration>,
    password: Option<String>,
    passfile: Option<PathBuf>,
    is_balanced: bool,
    settings: Settings,
}

impl Route {
    /// `system_user`: who this runs as, for those that name no user.
    pub fn read(
        dsn: Option<&str>,
        environment: &Environment<'_>,
        system_user: impl FnOnce() -> Option<String>,
    ) -> Result<Route, String> {
        let settings = Settings::read(dsn, environment)?;
        let mut mistakes = Vec::new();
        let endpoints = Endpoint::all(&settings).map_err(|mistake| mistakes.push(mistake));
        let encryption = Encryption::read(&settings, environment).map_err(|mistake| mistakes.push(mistake));
        let attrs = attrs(&settings).map_err(|mistake| mistakes.push(mistake));
        let is_balanced = is_balanced(&settings).map_err(|mistake| mistakes.push(mistake));
        let connect_timeout = connect_timeout(&settings).map_err(|mistake| mistakes.push(mistake));
        let user = settings.get("user").map(str::to_owned).or_else(system_user).ok_or_else(|| {
            mistakes.push(
                "no user is named, and the system has no name for the one that this runs as: write it into the DSN, or set PGUSER"
                    .to_owned(),
            );
        });
        let (Ok(endpoints), Ok(encryption), Ok(attrs), Ok(is_balanced), Ok(connect_timeout), Ok(user)) =
            (endpoints, encryption, attrs, is_balanced, connect_timeout, user)
        else {
            return Err(mistakes.join("\n"));
        };
        let passfile = settings.get("passfile").map(PathBuf::from);
        let passfile = passfile.or_else(|| Some(Path::new(&environment("HOME")?).join(".pgpass")));
        let database = settings.get("dbname").map(str::to_owned);
        let password = settings.get("password").map(str::to_owned);
        Ok(Route {
            endpoints,
            user,
            database,
            attrs,
            encryption,
            connect_timeout,
            password,
            passfile,
            is_balanced,
            settings,
        })
    }

    /// With this password rather than what the settings name.
    pub fn with_password(self, password: String) -> Route {
        Route { password: Some(password), ..self }
    }

    /// To one server that says everything itself: no file and no variable counts.
    pub fn to(endpoint: Endpoint, user: &str) -> Route {
        let (settings, nothing) = (Settings::default(), |_: &str| None);
        Route {
            endpoints: vec![endpoint],
            user: user.to_owned(),
            database: None,
            attrs: SessionAttrs::Any,
            encryption: Encryption::read(&settings, &nothing).expect("nothing is no mistake"),
            connect_timeout: None,
            password: None,
            passfile: None,
            is_balanced: false,
            settings,
        }
    }

    /// The same, whose server is checked whoever asks.
    pub fn strict(&self) -> Route {
        let mut strict = self.clone();
        if strict.encryption.mode < SslMode::VerifyCa {
            strict.encryption.mode = SslMode::VerifyFull;
        }
        strict
    }

    /// The password for this server.
    pub fn password(&self, endpoint: &Endpoint) -> Option<String> {
        let login = Login {
            host: endpoint.in_passfile(),
            port: endpoint.port,
            database: self.database.as_deref().unwrap_or(&self.user),
            user: &self.user,
        };
        self.password.clone().or_else(|| passfile::password(self.passfile.as_deref()?, &login))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the driver goes there by itself: one server, whichever it is, and no more of TLS than
    /// the driver does as libpq would.
    pub fn is_plain(&self) -> bool {
        let [only] = &self.endpoints[..] else { return false };
        let is_socket = only.is_socket();
        let names_both = only.address.is_some_and(|address| only.host != address.to_string());
        let plain = self.encryption.is_plain() || (is_socket && self.encryption.mode < SslMode::Require);
        // The driver reads the variables of these by itself.
        let usual = ["sslcert", "sslkey"].iter().all(|name| self.settings.get(name).is_none());
        self.attrs == SessionAttrs::Any && usual && plain && !(is_socket && only.host.starts_with('@')) && !names_both
    }

    /// The servers in the order in which they are tried.
    pub(crate) fn ordered(&self) -> Vec<&Endpoint> {
        let mut all: Vec<&Endpoint> = self.endpoints.iter().collect();
        if self.is_balanced {
            fastrand::shuffle(&mut all);
        }
        all
    }

    pub(crate) fn is_balanced(&self) -> bool {
        self.is_balanced
    }
}

/// Everything but the password.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("endpoints", &self.endpoints).field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Display for Route {
    /// The servers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.endpoints.iter().map(Endpoint::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

fn attrs(settings: &Settings) -> Result<SessionAttrs, String> {
    let Some(text) = settings.get("target_session_attrs") else { return Ok(SessionAttrs::Any) };
    SessionAttrs::named(text).ok_or_else(|| {
        let named = settings.named("target_session_attrs");
        format!("{named} is {text:?}; use any, read-write, read-only, primary, standby or prefer-standby")
    })
}

fn is_balanced(settings: &Settings) -> Result<bool, String> {
    match settings.get("load_balance_hosts") {
        None | Some("disable") => Ok(false),
        Some("random") => Ok(true),
        Some(text) => Err(format!("{} is {text:?}; use disable or random", settings.named("load_balance_hosts"))),
    }
}

/// To libpq, zero or less is no limit. A year is as good as none.
fn connect_timeout(settings: &Settings) -> Result<Option<Duration>, String> {
    let Some(text) = settings.get("connect_timeout") else { return Ok(None) };
    let seconds: i64 = text
        .trim()
        .parse()
        .map_err(|_| format!("{} is {text:?}, not a number of seconds", settings.named("connect_timeout")))?;
    let limit = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs);
    Ok(Some(limit.unwrap_or(FOR_EVER).min(FOR_EVER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dsn: &str) -> Result<Route, String> {
        Route::read(Some(dsn), &|_| None, || Some("me".into()))
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let said = read(
            "postgresql://h:x/?sslmode=no&target_session_attrs=master&load_balance_hosts=yes&connect_timeout=soon",
        );
        let said = said.expect_err("refused");
        for part in ["port", "sslmode", "\"master\"", "\"yes\"", "\"soon\""] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(Route::read(None, &|_| None, || None).is_err_and(|said| said.contains("PGUSER")));
    }

    #[test]
    fn the_driver_goes_alone_where_it_does_all_that_was_asked_for() {
        for (dsn, plain) in [
            ("postgresql://h/", true),
            ("postgresql://h/?sslmode=require", true),
            ("postgresql:///?host=/run/pg", true),
            ("postgresql:///?host=/run/pg&sslmode=verify-full", false),
            ("postgresql://a,b/", false),
            ("postgresql://h/?target_session_attrs=read-write", false),
            ("postgresql://h/?sslmode=verify-full", false),
            ("postgresql://h/?sslmode=allow", false),
            ("postgresql://h/?channel_binding=require", false),
            ("postgresql://h/?hostaddr=10.0.0.1", false),
            ("postgresql:///?hostaddr=10.0.0.1", true),
            ("postgresql://h/?sslmode=require&ssl_min_protocol_version=TLSv1.3", false),
        ] {
            assert_eq!(read(dsn).expect(dsn).is_plain(), plain, "{dsn}");
        }
    }

    #[test]
    fn no_limit_is_a_year_and_a_password_is_not_shown() {
        let route = read("postgresql://u:secret@a,b/?connect_timeout=7").expect("a route");
        assert_eq!(route.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!((route.to_string(), format!("{route:?}").contains("secret")), ("a:5432, b:5432".into(), false));
        assert_eq!(read("postgresql://h/?connect_timeout=0").expect("a route").connect_timeout, Some(FOR_EVER));
    }
}

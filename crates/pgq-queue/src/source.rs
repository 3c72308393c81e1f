//! Address and password of the database. Both are read again for each session, because passwords
//! are rotated while hosts run.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgq_connect::{Endpoint, Route, SessionAttrs};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::options::{self, Beside};
use super::password;
use super::reach::Reach;
use super::server_version::check_server;
use super::timeout::within;
use super::variables::{configuration, in_time, timeout};

/// Where sessions come from.
#[derive(Clone)]
pub struct Source {
    options: PgConnectOptions,
    /// As it was read at the start; `None`: the options never change.
    route: Option<Route>,
    /// The DSN, to be read again with what counts beside it.
    dsn: Option<String>,
    beside: Beside,
    /// The server of the last session, where there are several.
    last: Arc<Mutex<Option<Endpoint>>>,
    /// How sessions call themselves, whatever the variables say.
    name: Option<String>,
}

impl From<PgConnectOptions> for Source {
    fn from(options: PgConnectOptions) -> Source {
        Source { options, route: None, dsn: None, beside: Beside::Nothing, last: Arc::default(), name: None }
    }
}

/// The servers.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Some(route) => write!(f, "{route}"),
            None => write!(f, "{}:{}", self.options.get_host(), self.options.get_port()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Source {
    /// From a DSN and the variables.
    pub fn new(dsn: Option<&str>) -> Result<Source, String> {
        password::check()?;
        Source::read(dsn, Beside::Everything)
    }

    /// Of a server of our own, whose DSN says everything: variables and files are about another one.
    pub fn alone(dsn: &str) -> Result<Source, String> {
        Source::read(Some(dsn), Beside::Nothing)
    }

    fn read(dsn: Option<&str>, beside: Beside) -> Result<Source, String> {
        let route = options::route(dsn, beside)?;
        let options = options::of_route(&route)?;
        Ok(Source {
            options,
            route: Some(route),
            dsn: dsn.map(str::to_owned),
            beside,
            last: Arc::default(),
            name: None,
        })
    }

    pub fn user(&self) -> &str {
        self.options.get_username()
    }

    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or(self.user())
    }

    pub fn application_name(&self) -> Option<&str> {
        self.options.get_application_name()
    }

    /// Sessions call themselves so.
    pub fn called(self, name: &str) -> Source {
        Source { options: self.options.application_name(name), name: Some(name.to_owned()), ..self }
    }

    /// Whether a server that became read-only is not the right one any more.
    pub(super) fn wants_to_write(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.attrs == SessionAttrs::ReadWrite)
    }

    /// The time that the DSN or a service allows, for all servers together.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        let route = self.route.as_ref()?;
        let tries = if route.attrs == SessionAttrs::PreferStandby { 2 } else { 1 } * route.endpoints.len();
        Some(route.connect_timeout?.saturating_mul(u32::try_from(tries).unwrap_or(u32::MAX)))
    }

    /// The time for a session to be open.
    pub fn time(&self) -> sqlx::Result<Duration> {
        self.connect_timeout().map_or_else(timeout, Ok)
    }

    /// Which parameters count, and who said so; no values.
    pub fn said_by(&self) -> Vec<(String, String)> {
        let Some(route) = &self.route else { return Vec::new() };
        let password = password::named_by().filter(|_| self.beside == Beside::Everything);
        let used = route.settings().used().into_iter().filter(|(name, _)| *name != "password" || password.is_none());
        let used = used.map(|(name, origin)| (name.to_owned(), origin.to_string()));
        used.chain(password.map(|variable| ("password".to_owned(), variable.to_owned()))).collect()
    }

    /// A single connection, for a command.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        let connection = self.connect_to_any().await?;
        check_server(&connection)?;
        Ok(connection)
    }

    /// The same to a server of any age, for whoever says that it is too old.
    pub async fn connect_to_any(&self) -> sqlx::Result<PgConnection> {
        let connecting = async {
            let reach = self.reach(self.time()?).await?;
            PgConnection::connect_with(&reach.options).await
        };
        match self.connect_timeout() {
            Some(time) => within(time, connecting).await,
            None => in_time(connecting).await,
        }
    }

    /// The way for the driver, as everything is at this moment. A session takes no longer than this.
    pub async fn reach(&self, within: Duration) -> sqlx::Result<Reach> {
        let Some(route) = self.route().await? else { return Ok(self.options.clone().into()) };
        let last = Arc::clone(&self.last);
        let mut reach = Reach::by(route, within, move |endpoint| arrived(&last, endpoint))?;
        if let Some(name) = &self.name {
            reach.options = reach.options.application_name(name);
        }
        Ok(reach)
    }

    /// Read again: files of passwords, services and certificates may have changed. `None`: the options
    /// never change.
    pub async fn route(&self) -> sqlx::Result<Option<Route>> {
        if self.route.is_none() {
            return Ok(None);
        }
        let route = options::route(self.dsn.as_deref(), self.beside).map_err(configuration)?;
        if self.beside == Beside::Nothing {
            return Ok(Some(route));
        }
        Ok(Some(match password::named().await.map_err(configuration)? {
            Some(password) => route.with_password(password),
            None => route,
        }))
    }
}

/// A server that is not the last one is told of: a fail-over is seen in the log.
fn arrived(last: &Mutex<Option<Endpoint>>, endpoint: &Endpoint) {
    let before = last.lock().unwrap_or_else(PoisonError::into_inner).replace(endpoint.clone());
    if let Some(before) = before.filter(|before| before != endpoint) {
        tracing::info!(server = %endpoint, %before, "sessions are opened at another server");
    }
}

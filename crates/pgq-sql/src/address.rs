//! Where the database is: where the host itself reaches it, or another that is named in a grant.

use std::error::Error as _;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use pgq_connect::{
    Attempt, ChannelBinding, Endpoint, Failure, Place, Refusal, Role, Route, SessionAttrs, SslMode, client_config,
    first,
};
use tokio_postgres::config::{self, SslMode as DriversMode, SslNegotiation};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_rustls::rustls::ClientConfig;

use super::elsewhere::Elsewhere;
use super::failure::{connection_lost, unreached};
use super::metered::Meter;
use super::tls;
use super::way::{TIMEOUT, Way, Wire};
use pgq_engine::SqlGrant;
use pgq_engine::sql::SqlError;
use pgq_queue::told::Told as _;
use pgq_queue::{Database, Source};

/// The server, and not a pooler that lends sessions: a run has its session for itself.
#[derive(Debug, Clone)]
pub struct Address {
    source: Source,
}

impl Address {
    /// `None` where every session is a pooler's, which lends it for a transaction.
    pub fn of(database: &Database) -> Option<Address> {
        let source = match (&database.direct, database.transaction_pooling) {
            (Some(direct), _) => direct.clone(),
            (None, true) => return None,
            (None, false) => database.source.clone(),
        };
        Some(Address { source })
    }

    /// Log in as the role.
    pub(super) async fn connect(
        &self,
        grant: &SqlGrant,
        authorities: Option<&Arc<ClientConfig>>,
        meter: &Arc<Meter>,
    ) -> Result<(Client, Wire, Way), SqlError> {
        let route = self.source.route().await.map_err(|error| connection_lost(&error.told()))?;
        let route = route.ok_or_else(|| connection_lost(&"its address is known to the queue alone"))?;
        // Not checked, encryption would be worth nothing; checked, it would fail where the host's does not.
        let is_encrypted = route.encryption.mode >= SslMode::Require;
        // Whoever vouches for the server of the queue, and whom it knows us by, is the operator's word.
        let named = if is_encrypted && route.encryption.names_somebody() {
            client_config(&route.strict()).await.map_err(unreached)?
        } else {
            None
        };
        let target = Target {
            grant,
            database: route.database.as_deref().unwrap_or(&route.user),
            is_encrypted,
            is_direct: route.encryption.is_direct(),
            binding: route.encryption.channel_binding,
            tls: named.as_ref().or(authorities),
            meter,
        };
        target.first_of(&route).await
    }
}

/// Log in there, as the role that is named with it.
pub(super) async fn connect_elsewhere(
    elsewhere: Elsewhere,
    grant: &SqlGrant,
    authorities: Option<&Arc<ClientConfig>>,
    meter: &Arc<Meter>,
) -> Result<(Client, Wire, Way), SqlError> {
    let target = Target {
        grant,
        database: &elsewhere.database,
        is_encrypted: elsewhere.is_encrypted,
        is_direct: false,
        binding: ChannelBinding::Prefer,
        tls: authorities,
        meter,
    };
    let endpoint = Endpoint { host: elsewhere.host.clone(), address: None, port: elsewhere.port };
    target.first_of(&Route::to(endpoint, &elsewhere.role)).await
}

/// What a handler's session needs, whichever server it is on.
struct Target<'a> {
    grant: &'a SqlGrant,
    database: &'a str,
    is_encrypted: bool,
    is_direct: bool,
    binding: ChannelBinding,
    /// `None`: the public authorities.
    tls: Option<&'a Arc<ClientConfig>>,
    meter: &'a Arc<Meter>,
}

impl Target<'_> {
    async fn first_of(&self, route: &Route) -> Result<(Client, Wire, Way), SqlError> {
        let late = || connection_lost(&format!("no connection within {TIMEOUT:?}"));
        let found = tokio::time::timeout(TIMEOUT, first(route, TIMEOUT, self)).await.map_err(|_| late())?;
        found.map_err(unreached)
    }

    fn config(&self, place: &Place) -> Config {
        let mut config = Config::new();
        config.user(&self.grant.role).application_name("pgq-host handler").dbname(self.database);
        if let Some(password) = self.grant.password() {
            config.password(password);
        }
        // There is none over a socket.
        let is_encrypted = self.is_encrypted && matches!(place, Place::Tcp(_));
        config.ssl_mode(if is_encrypted { DriversMode::Require } else { DriversMode::Disable });
        if is_encrypted && self.is_direct {
            config.ssl_negotiation(SslNegotiation::Direct);
        }
        config.channel_binding(match self.binding {
            ChannelBinding::Disable => config::ChannelBinding::Disable,
            ChannelBinding::Prefer => config::ChannelBinding::Prefer,
            ChannelBinding::Require => config::ChannelBinding::Require,
        });
        config
    }
}

impl Attempt for Target<'_> {
    type Session = (Client, Wire, Way);

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        place: &Place,
        wanted: SessionAttrs,
    ) -> Result<(Client, Wire, Way), Failure> {
        let way = Way::new(endpoint, place, tls::connect(self.tls));
        let (client, mut wire) = way.connect(&self.config(place), self.meter).await?.map_err(failure)?;
        if wanted != SessionAttrs::Any
            && let Some(why) = wanted.refusal(role(&client, &mut wire).await?)
        {
            return Err(Failure::Unfit(why));
        }
        Ok((client, wire, way))
    }
}

/// What the server says of itself, or answers.
async fn role(client: &Client, wire: &mut Wire) -> Result<Role, Failure> {
    let said = |wire: &Wire, name| wire.parameter(name).map(|value| value == "on");
    if let (Some(is_standby), Some(is_read_only)) =
        (said(wire, "in_hot_standby"), said(wire, "default_transaction_read_only"))
    {
        return Ok(Role { is_standby, is_read_only });
    }
    let asking = client
        .simple_query("SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')");
    tokio::pin!(asking);
    let answers = loop {
        tokio::select! {
            answers = &mut asking => break answers.map_err(failure)?,
            message = poll_fn(|context| wire.poll_message(context)) => {
                if !matches!(message, Some(Ok(_))) {
                    return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
                }
            }
        }
    };
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => {
            Some(Role { is_standby: row.get(0) == Some("t"), is_read_only: row.get(1) == Some("on") })
        }
        _ => None,
    });
    row.ok_or_else(|| io::Error::other("the server does not say what it is").into())
}

fn failure(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(server) => Failure::Refused(Refusal::new(server.code().code(), server.message())),
        None => match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
            Some(cause) => Failure::Unreachable(io::Error::new(cause.kind(), error.told())),
            None => Failure::Insecure(error.told()),
        },
    }
}

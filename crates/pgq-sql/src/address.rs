//! Where the database is: where the host itself reaches it, or another that is named in a grant.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Connection};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::ClientConfig;

use super::elsewhere::Elsewhere;
use super::failure::{connection_lost, database};
use super::metered::{Meter, Metered};
use super::stream::Stream;
use super::tls;
use pgq_engine::SqlGrant;
use pgq_engine::sql::SqlError;
use pgq_queue::{Database, Source};

/// How long a connection may take to be there.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The server, and not a pooler that lends sessions: a run has its session for itself.
#[derive(Debug, Clone)]
pub struct Address {
    source: Source,
}

type Tls = <MakeRustlsConnect as MakeTlsConnect<Metered<Stream>>>::TlsConnect;
pub(super) type Wire = Connection<Metered<Stream>, <Tls as TlsConnect<Metered<Stream>>>::Stream>;

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
        let options = self.source.read_again().await.map_err(|error| connection_lost(&error))?;
        // Not checked, encryption would be worth nothing; checked, it would fail where the host's does not.
        let is_encrypted = !matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
        let target = Target {
            place: Place::of(&options),
            database: options.get_database().unwrap_or(options.get_username()).to_owned(),
            is_encrypted,
        };
        target.connect(grant, authorities, meter).await
    }
}

/// Log in there, as the role that is named with it.
pub(super) async fn connect_elsewhere(
    elsewhere: Elsewhere,
    grant: &SqlGrant,
    authorities: Option<&Arc<ClientConfig>>,
    meter: &Arc<Meter>,
) -> Result<(Client, Wire, Way), SqlError> {
    let place = Place::at(None, &elsewhere.host, elsewhere.port);
    let target = Target { place, database: elsewhere.database, is_encrypted: elsewhere.is_encrypted };
    target.connect(grant, authorities, meter).await
}

struct Target {
    place: Place,
    database: String,
    is_encrypted: bool,
}

impl Target {
    async fn connect(
        self,
        grant: &SqlGrant,
        authorities: Option<&Arc<ClientConfig>>,
        meter: &Arc<Meter>,
    ) -> Result<(Client, Wire, Way), SqlError> {
        let connecting = async {
            let config = self.config(grant);
            let way = Way { place: self.place, tls: tls::connect(authorities) };
            let stream = way.place.open().await.map_err(|error| connection_lost(&error))?;
            let connector = way.connector().map_err(|error| connection_lost(&error))?;
            let connected = config.connect_raw(Metered::new(stream, Arc::clone(meter)), connector).await;
            let (client, wire) = connected.map_err(|error| database(&error))?;
            Ok((client, wire, way))
        };
        let late = || connection_lost(&format!("no connection within {TIMEOUT:?}"));
        tokio::time::timeout(TIMEOUT, connecting).await.unwrap_or_else(|_| Err(late()))
    }

    fn config(&self, grant: &SqlGrant) -> Config {
        let mut config = Config::new();
        config.user(&grant.role).application_name("pgq-host handler").dbname(&self.database);
        if let Some(password) = grant.password() {
            config.password(password);
        }
        // There is none over a socket.
        let is_encrypted = self.is_encrypted && matches!(self.place, Place::Tcp(..));
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        config
    }
}

/// How a session was reached, to cancel its statement by the same way.
pub(super) struct Way {
    place: Place,
    tls: MakeRustlsConnect,
}

impl Way {
    fn connector(&self) -> io::Result<Tls> {
        let host = if let Place::Tcp(host, _) = &self.place { host } else { "localhost" };
        MakeTlsConnect::<Metered<Stream>>::make_tls_connect(&mut self.tls.clone(), host).map_err(io::Error::other)
    }

    /// Ask the server to stop what the session does.
    pub(super) async fn cancel(&self, token: &CancelToken) {
        let cancelling = async {
            let stream = Metered::new(self.place.open().await?, Meter::new());
            token.cancel_query_raw(stream, self.connector()?).await.map_err(io::Error::other)
        };
        if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, cancelling).await {
            tracing::debug!(error = %error, "cannot ask for a statement of a handler to be cancelled");
        }
    }
}

#[derive(Debug)]
enum Place {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Place {
    fn of(options: &PgConnectOptions) -> Place {
        Place::at(options.get_socket().map(PathBuf::as_path), options.get_host(), options.get_port())
    }

    fn at(socket: Option<&Path>, host: &str, port: u16) -> Place {
        match socket {
            Some(folder) => Place::Unix(folder.join(format!(".s.PGSQL.{port}"))),
            None if host.starts_with('/') => Place::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}"))),
            None => Place::Tcp(host.to_owned(), port),
        }
    }

    async fn open(&self) -> io::Result<Stream> {
        Ok(match self {
            Place::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Place::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        })
    }
}

//! How a session was reached, to cancel its statement by the same way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgq_connect::{Endpoint, Place};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Client, Config, Connection};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::metered::{Meter, Metered};
use super::stream::Stream;

/// How long a connection may take to be there.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

type Tls = <MakeRustlsConnect as MakeTlsConnect<Metered<Stream>>>::TlsConnect;
pub(super) type Wire = Connection<Metered<Stream>, <Tls as TlsConnect<Metered<Stream>>>::Stream>;

pub(super) struct Way {
    endpoint: Endpoint,
    place: Place,
    tls: MakeRustlsConnect,
}

impl Way {
    pub(super) fn new(endpoint: &Endpoint, place: &Place, tls: MakeRustlsConnect) -> Way {
        Way { endpoint: endpoint.clone(), place: place.clone(), tls }
    }

    /// Log in there.
    pub(super) async fn connect(
        &self,
        config: &Config,
        meter: &Arc<Meter>,
    ) -> io::Result<Result<(Client, Wire), tokio_postgres::Error>> {
        let stream = Metered::new(Stream::open(&self.place).await?, Arc::clone(meter));
        Ok(config.connect_raw(stream, self.connector()?).await)
    }

    fn connector(&self) -> io::Result<Tls> {
        let host = if matches!(self.place, Place::Tcp(_)) { &self.endpoint.host } else { "localhost" };
        MakeTlsConnect::<Metered<Stream>>::make_tls_connect(&mut self.tls.clone(), host).map_err(io::Error::other)
    }

    /// Ask the server to stop what the session does.
    pub(super) async fn cancel(&self, token: &CancelToken) {
        let cancelling = async {
            let stream = Metered::new(Stream::open(&self.place).await?, Meter::new());
            token.cancel_query_raw(stream, self.connector()?).await.map_err(io::Error::other)
        };
        if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, cancelling).await {
            tracing::debug!(error = %error, "cannot ask for a statement of a handler to be cancelled");
        }
    }
}

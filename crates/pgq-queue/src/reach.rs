//! What the driver connects to: the server, or a relay that finds it.

use std::time::Duration;

use pgq_connect::{Endpoint, Relay, Route};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::options;
use super::variables::configuration;

/// Sessions can be opened for as long as this is there; those that are open need it no more.
#[derive(Debug)]
pub struct Reach {
    pub options: PgConnectOptions,
    _relay: Option<Relay>,
}

impl From<PgConnectOptions> for Reach {
    fn from(options: PgConnectOptions) -> Reach {
        Reach { options, _relay: None }
    }
}

impl Reach {
    pub(super) fn by(
        route: Route,
        within: Duration,
        arrived: impl Fn(&Endpoint) + Send + Sync + 'static,
    ) -> sqlx::Result<Reach> {
        let options = options::of_route(&route).map_err(configuration)?;
        if route.is_plain() {
            return Ok(options.into());
        }
        let relay = Relay::start(route, within, arrived)?;
        let options = options.socket(relay.folder()).port(relay.port()).ssl_mode(PgSslMode::Disable);
        Ok(Reach { options, _relay: Some(relay) })
    }
}

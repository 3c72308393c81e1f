//! Encryption of handlers' sessions. A certificate is always checked, name and all: a role's password
//! goes over this.

use std::sync::Arc;

use pgq_engine::Authorities;
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::ClientConfig;

/// `authorities`: trusted as well as the public ones.
pub(super) fn connect(authorities: Option<&Arc<ClientConfig>>) -> MakeRustlsConnect {
    let config = authorities.map_or_else(Authorities::public, Arc::clone);
    MakeRustlsConnect::new(ClientConfig::clone(&config))
}

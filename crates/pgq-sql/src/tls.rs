//! Encryption of handlers' sessions. A certificate is always checked, name and all: a role's password
//! goes over this.

use std::sync::{Arc, LazyLock};

use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// `authorities`: trusted as well as the public ones.
pub(super) fn connect(authorities: Option<&Arc<ClientConfig>>) -> MakeRustlsConnect {
    MakeRustlsConnect::new(authorities.map_or_else(|| PUBLIC.clone(), |config| ClientConfig::clone(config)))
}

static PUBLIC: LazyLock<ClientConfig> = LazyLock::new(|| {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() })
        .with_no_client_auth()
});

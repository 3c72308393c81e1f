//! The authorities trusted to sign the certificates of origins: the public ones, and optionally the
//! operator's own from a file, since origins inside a company are rarely signed by a public
//! authority.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The file, its content when it was read, and a TLS configuration that trusts it in addition to
/// the public authorities.
#[derive(Debug, Clone)]
pub struct Authorities {
    pub(super) file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
    pub(super) tls: Arc<ClientConfig>,
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Authorities) -> bool {
        (&self.file, &self.certificates) == (&other.file, &other.certificates)
    }
}

impl Eq for Authorities {}

impl Authorities {
    /// The configuration that trusts them.
    pub fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    /// A TLS configuration that trusts only the public authorities.
    pub fn public() -> Arc<ClientConfig> {
        static PUBLIC: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| trusting(public_roots()));
        Arc::clone(&PUBLIC)
    }

    /// Read a file of certificates in PEM, one after the other.
    ///
    /// # Errors
    ///
    /// Returns a message for the person who wrote the path.
    pub fn read(file: &Path) -> Result<Authorities, String> {
        let (name, remedy) = (file.display(), "name a file of certificates in PEM");
        let text = std::fs::read(file).map_err(|error| format!("the file {name} cannot be read: {error}; {remedy}"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates =
            certificates.map_err(|error| format!("the file {name} is not valid PEM: {error}; {remedy}"))?;
        let mut roots = public_roots();
        if roots.add_parsable_certificates(certificates.iter().cloned()).0 == 0 {
            return Err(format!("the file {name} contains no certificate of an authority; {remedy}"));
        }
        Ok(Authorities { file: file.to_owned(), certificates, tls: trusting(roots) })
    }
}

/// Mozilla's list as of the build of this binary.
fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() }
}

fn trusting(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

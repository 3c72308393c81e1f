//! Certificate authorities of an operator's own, from a file: origins inside a company are rarely signed by a public one.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// The file, and what was in it when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorities {
    pub(super) file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Certificates in PEM, one after the other. The error is for whoever wrote the path.
    pub fn read(file: &Path) -> Result<Authorities, String> {
        let (name, remedy) = (file.display(), "name a file of certificates in PEM");
        let text = std::fs::read(file).map_err(|error| format!("the file {name} cannot be read: {error}; {remedy}"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| format!("the file {name} is no PEM: {error}; {remedy}"))?;
        let authorities = Authorities { file: file.to_owned(), certificates };
        match authorities.roots().len() - Authorities::public().len() {
            0 => Err(format!("the file {name} has no certificate of an authority in it; {remedy}")),
            _ => Ok(authorities),
        }
    }

    /// Mozilla's list, as it was when this binary was built.
    pub(super) fn public() -> RootCertStore {
        RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() }
    }

    /// The public ones and these.
    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = Authorities::public();
        roots.add_parsable_certificates(self.certificates.iter().cloned());
        roots
    }
}

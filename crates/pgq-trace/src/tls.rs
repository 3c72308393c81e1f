//! Certificates for the way to the collector: files in PEM, read and checked before anything is sent.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::variables::Reading;

/// Who this host is to a collector that asks: a certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// Which of the two files of an identity cannot be used, and why.
#[derive(Debug)]
pub(crate) enum Unfit {
    Certificate(String),
    Key(String),
}

/// The certificates in this file, in PEM: at least one.
///
/// # Errors
///
/// Names the file, and what it should be.
pub(crate) fn certificates(path: &Path) -> Result<Vec<u8>, String> {
    let pem = read(path)?;
    parsed(path, &pem).map(|_| pem)
}

/// The certificate and the key in these files, which belong together.
pub(crate) fn identity(certificate: &Path, key: &Path) -> Result<Identity, Unfit> {
    let pem = read(certificate).map_err(Unfit::Certificate)?;
    let chain = parsed(certificate, &pem).map_err(Unfit::Certificate)?;
    let secret = read(key).map_err(Unfit::Key)?;
    let private = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| {
        Unfit::Key(format!(
            "the file {} has no private key in PEM; one that asks for a passphrase cannot be used",
            key.display()
        ))
    })?;
    CertifiedKey::from_der(chain, private, &ring::default_provider()).map_err(|error| {
        Unfit::Key(format!(
            "the key in {} is of no use with the certificate in {}: {error}",
            key.display(),
            certificate.display()
        ))
    })?;
    Ok(Identity { certificate: pem, key: secret })
}

impl Reading<'_> {
    /// Whom to trust.
    pub(crate) fn certificate(&mut self) -> Option<PathBuf> {
        let (name, path) = self.of_signal("CERTIFICATE")?;
        let path = PathBuf::from(path);
        if let Err(why) = certificates(&path) {
            self.mistakes.push(format!("{name}: {why}"));
        }
        Some(path)
    }

    /// Both files, or none.
    pub(crate) fn client(&mut self) -> Option<(PathBuf, PathBuf)> {
        match (self.of_signal("CLIENT_CERTIFICATE"), self.of_signal("CLIENT_KEY")) {
            (Some((of_certificate, certificate)), Some((of_key, key))) => {
                let (certificate, key) = (PathBuf::from(certificate), PathBuf::from(key));
                match identity(&certificate, &key) {
                    Ok(_) => {}
                    Err(Unfit::Certificate(why)) => self.mistakes.push(format!("{of_certificate}: {why}")),
                    Err(Unfit::Key(why)) => self.mistakes.push(format!("{of_key}: {why}")),
                }
                Some((certificate, key))
            }
            (None, None) => None,
            (Some((name, _)), None) => {
                self.mistakes
                    .push(format!("{name} is set, and the file of its key is not: set OTEL_EXPORTER_OTLP_CLIENT_KEY"));
                None
            }
            (None, Some((name, _))) => {
                self.mistakes.push(format!(
                    "{name} is set, and the file of its certificate is not: set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
                ));
                None
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|error| format!("the file {} cannot be read: {error}; name a file in PEM", path.display()))
}

fn parsed(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(format!("the file {} has no certificate in PEM", path.display())),
    }
}

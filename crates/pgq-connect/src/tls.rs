//! TLS to a server: whom to trust, and who we are. The files are read for each session, as they may
//! have changed.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::encryption::{Encryption, Roots, SslMode, Version};

/// What a session of this kind needs. Blocks on files.
pub(crate) fn config(encryption: &Encryption) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let versions = match encryption.versions {
        (Version::V1_3, _) => vec![&TLS13],
        (_, Version::V1_2) => vec![&TLS12],
        _ => vec![&TLS12, &TLS13],
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions);
    let builder = builder.map_err(|error| error.to_string())?.dangerous();
    let trusted = match encryption.mode {
        SslMode::VerifyCa | SslMode::VerifyFull => Some(trusted(encryption, &provider)?),
        _ => None,
    };
    let checks_name = encryption.mode == SslMode::VerifyFull;
    let builder = builder.with_custom_certificate_verifier(Arc::new(Verifier { trusted, checks_name, provider }));
    let mut config = match &encryption.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "sslcert")?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, "sslkey", &error))?;
            let refused = |error: Error| format!("sslcert and sslkey are no pair: {error}");
            builder.with_client_auth_cert(chain, secret).map_err(refused)?
        }
    };
    config.enable_sni = encryption.sends_name;
    if encryption.is_direct {
        config.alpn_protocols = vec![b"postgresql".to_vec()];
    }
    Ok(config)
}

fn trusted(encryption: &Encryption, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, String> {
    let mut roots = RootCertStore::empty();
    match &encryption.roots {
        Roots::File(file) => {
            for certificate in certificates(file, "sslrootcert")? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("sslrootcert {:?}: {error}", file.display().to_string()))?;
            }
        }
        // One that this library does not read vouches for nobody.
        Roots::System => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let revoked = match &encryption.revoked {
        None => Vec::new(),
        Some(file) => CertificateRevocationListDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable(file, "sslcrl", &error))?,
    };
    builder.with_crls(revoked).build().map_err(|error| match encryption.roots {
        Roots::System => {
            "this machine has no authorities that certificates could be checked against: set sslrootcert".into()
        }
        Roots::File(_) => error.to_string(),
    })
}

fn certificates(file: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let found = found.map_err(|error| unreadable(file, parameter, &error))?;
    if found.is_empty() {
        return Err(format!("{parameter} {:?} has no certificate in it", file.display().to_string()));
    }
    Ok(found)
}

/// Never with anything of its content.
fn unreadable(file: &Path, parameter: &str, error: &tokio_rustls::rustls::pki_types::pem::Error) -> String {
    use tokio_rustls::rustls::pki_types::pem::Error;
    let why = match error {
        Error::Io(error) => error.to_string(),
        Error::NoItemsFound if parameter == "sslkey" => {
            "there is no key in it that is not encrypted (openssl pkey -in KEY -out PLAIN decrypts one)".into()
        }
        Error::NoItemsFound => "there is nothing of that kind in it".into(),
        _ => "it is no PEM file".into(),
    };
    format!("{parameter} {:?} cannot be read: {why}", file.display().to_string())
}

/// Checks as much as the mode asks for.
#[derive(Debug)]
struct Verifier {
    /// `None`: whoever it is.
    trusted: Option<Arc<WebPkiServerVerifier>>,
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        match trusted.verify_server_cert(certificate, others, name, ocsp, now) {
            // Looked at last, after the authority.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_name => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

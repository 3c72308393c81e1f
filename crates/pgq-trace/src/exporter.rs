//! The way to the collector.

use std::path::Path;

use base64::Engine as _;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio_rustls::rustls::crypto::ring;

use super::resource::resource;
use super::settings::{Protocol, TraceSettings};

/// Why there is no way to the collector.
#[derive(Debug)]
pub struct TraceError(String);

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TraceError {}

#[derive(Debug)]
pub(crate) struct Exporter(SpanExporter);

impl Exporter {
    pub(crate) fn new(settings: &TraceSettings, instance: &str) -> Result<Exporter, TraceError> {
        // The HTTP client takes the process's. Somebody else may have chosen it by now.
        let _ = ring::default_provider().install_default();
        let tls = Tls::read(settings)?;
        let unfit = |error: &dyn std::fmt::Display| TraceError(format!("cannot prepare the export of traces: {error}"));
        let mut exporter = match settings.protocol {
            Protocol::Grpc => {
                let builder = SpanExporter::builder()
                    .with_tonic()
                    .with_endpoint(&settings.endpoint)
                    .with_timeout(settings.timeout);
                let is_encrypted = settings.endpoint.starts_with("https://");
                let builder = if is_encrypted { builder.with_tls_config(tls.of_grpc()) } else { builder };
                builder.build().map_err(|error| unfit(&error))?
            }
            Protocol::Http => {
                let client = tls.of_http(settings)?;
                SpanExporter::builder()
                    .with_http()
                    .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                    .with_http_client(client)
                    .with_endpoint(&settings.endpoint)
                    .with_timeout(settings.timeout)
                    .build()
                    .map_err(|error| unfit(&error))?
            }
        };
        exporter.set_resource(&resource(instance));
        Ok(Exporter(exporter))
    }

    pub(crate) async fn send(&self, spans: Vec<SpanData>) -> Result<(), OTelSdkError> {
        self.0.export(spans).await
    }
}

/// Certificates, in PEM.
struct Tls {
    authorities: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    fn read(settings: &TraceSettings) -> Result<Tls, TraceError> {
        let file = |variable: &str, path: &Path| {
            std::fs::read(path).map_err(|error| {
                TraceError(format!(
                    "the file {} of OTEL_EXPORTER_OTLP_{variable} cannot be read: {error}; name a file in PEM",
                    path.display()
                ))
            })
        };
        let authorities = settings.certificate.as_deref().map(|path| file("CERTIFICATE", path)).transpose()?;
        let client = settings.client.as_ref();
        let client =
            client.map(|(certificate, key)| Ok((file("CLIENT_CERTIFICATE", certificate)?, file("CLIENT_KEY", key)?)));
        Ok(Tls { authorities, client: client.transpose()? })
    }

    fn of_grpc(&self) -> ClientTlsConfig {
        let authorities = match &self.authorities {
            Some(pem) => vec![Certificate::from_pem(pem)],
            // It brings none of its own.
            None => rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|certificate| Certificate::from_pem(pem(certificate)))
                .collect(),
        };
        let config = ClientTlsConfig::new().ca_certificates(authorities);
        match &self.client {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    fn of_http(&self, settings: &TraceSettings) -> Result<reqwest::Client, TraceError> {
        let unfit =
            |variable: &str| TraceError(format!("the file of OTEL_EXPORTER_OTLP_{variable} has no certificate in PEM"));
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            // Where spans go is what the variables say, and nothing else.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &self.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| unfit("CERTIFICATE"))?;
            if authorities.is_empty() {
                return Err(unfit("CERTIFICATE"));
            }
            builder = builder.tls_certs_only(authorities);
        }
        if let Some((certificate, key)) = &self.client {
            let both = [key.as_slice(), b"\n", certificate].concat();
            builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(|_| unfit("CLIENT_CERTIFICATE"))?);
        }
        builder.build().map_err(|error| TraceError(format!("cannot prepare the export of traces: {error}")))
    }
}

fn pem(certificate: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

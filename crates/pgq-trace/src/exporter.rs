//! The way to the collector.

use std::error::Error as _;

use base64::Engine as _;
use opentelemetry_otlp::tonic_types::transport::{self, Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio_rustls::rustls::crypto::ring;

use super::http_client::{LastFailure, TellingClient};
use super::resource::resource;
use super::settings::{Protocol, TraceSettings};
use super::tls::{self, Identity, Unfit};

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
pub(crate) struct Exporter {
    exporter: SpanExporter,
    failure: LastFailure,
}

impl Exporter {
    pub(crate) fn new(settings: &TraceSettings, instance: &str) -> Result<Exporter, TraceError> {
        // The HTTP client takes the process's. Somebody else may have chosen it by now.
        let _ = ring::default_provider().install_default();
        let tls = Tls::read(settings)?;
        let unfit = |error: &dyn std::fmt::Display| TraceError(format!("cannot prepare the export of traces: {error}"));
        let failure = LastFailure::default();
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
                let client = TellingClient { client: tls.of_http(settings)?, failure: failure.clone() };
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
        Ok(Exporter { exporter, failure })
    }

    /// Fails with the reason, as far as anything tells it.
    pub(crate) async fn send(&self, spans: Vec<SpanData>) -> Result<(), String> {
        self.exporter.export(spans).await.map_err(|error| match error {
            OTelSdkError::InternalFailure(why) => self.failure.take().unwrap_or(why),
            other => other.to_string(),
        })
    }
}

/// Whom to trust, and how to show who we are, in PEM.
struct Tls {
    authorities: Option<Vec<u8>>,
    client: Option<Identity>,
}

impl Tls {
    fn read(settings: &TraceSettings) -> Result<Tls, TraceError> {
        let unfit = |variable: &str, why: String| TraceError(format!("OTEL_EXPORTER_OTLP_{variable}: {why}"));
        let authorities = settings.certificate.as_deref().map(tls::certificates).transpose();
        let client = settings.client.as_ref().map(|(certificate, key)| tls::identity(certificate, key)).transpose();
        Ok(Tls {
            authorities: authorities.map_err(|why| unfit("CERTIFICATE", why))?,
            client: client.map_err(|why| match why {
                Unfit::Certificate(why) => unfit("CLIENT_CERTIFICATE", why),
                Unfit::Key(why) => unfit("CLIENT_KEY", why),
            })?,
        })
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
            Some(Identity { certificate, key }) => config.identity(transport::Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    fn of_http(&self, settings: &TraceSettings) -> Result<reqwest::Client, TraceError> {
        let unfit = |error: reqwest::Error| {
            let why = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            TraceError(format!("cannot prepare the export of traces: {error}{why}"))
        };
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            // Where spans go is what the variables say, and nothing else.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &self.authorities {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(unfit)?);
        }
        if let Some(Identity { certificate, key }) = &self.client {
            let both = [key.as_slice(), b"\n", certificate].concat();
            builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(unfit)?);
        }
        builder.build().map_err(unfit)
    }
}

fn pem(certificate: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

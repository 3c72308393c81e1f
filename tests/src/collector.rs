//! A collector of traces on loopback: OTLP over gRPC and over HTTP, decoded from the real protobuf.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tonic::codec::CompressionEncoding;
use tower_service::Service as _;

use crate::authority::Authority;
use crate::{eventually, spans::Span};

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otlp {
    Grpc,
    Http,
}

/// Ends with the test's runtime.
pub struct Collector {
    otlp: Otlp,
    origin: String,
    received: Received,
}

/// What came.
#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    /// `name: value` of the requests' headers.
    headers: Arc<Mutex<Vec<String>>>,
}

impl Received {
    fn add(&self, request: ExportTraceServiceRequest) {
        self.spans.lock().unwrap().extend(Span::all_of(request));
    }

    fn head(&self, headers: &hyper::HeaderMap) {
        let lines =
            headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        self.headers.lock().unwrap().extend(lines);
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.add(request.into_inner());
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    pub async fn start(otlp: Otlp) -> Collector {
        Collector::serve(otlp, None).await
    }

    /// The same over TLS, as `localhost`, with a certificate of this authority.
    pub async fn encrypted(otlp: Otlp, authority: &Authority) -> Collector {
        Collector::certified(otlp, authority, None).await
    }

    /// The same, which talks only to those who show a certificate of `clients`.
    pub async fn mutual(otlp: Otlp, authority: &Authority, clients: &Authority) -> Collector {
        Collector::certified(otlp, authority, Some(clients)).await
    }

    async fn certified(otlp: Otlp, authority: &Authority, clients: Option<&Authority>) -> Collector {
        let (certificate, key) = authority.sign("collector", &["localhost"]);
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("its key");
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(clients.root()).expect("a certificate")).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let mut config = config.with_single_cert(vec![certificate], key).expect("its key");
        if otlp == Otlp::Grpc {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Collector::serve(otlp, Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(otlp: Otlp, tls: Option<TlsAcceptor>) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let origin =
            if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let received = Received::default();
        let sink = received.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sink, tls) = (sink.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(otlp, stream, sink).await,
                        Some(tls) => match tls.accept(stream).into_fallible().await {
                            Ok(stream) => answer(otlp, stream, sink).await,
                            // Whoever has sent more already hears why all the same: a socket that is closed over
                            // what nobody read takes the alert back.
                            Err((_, mut stream)) => {
                                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
                            }
                        },
                    }
                });
            }
        });
        Collector { otlp, origin, received }
    }

    /// `http://127.0.0.1:port`, or `https://localhost:port`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The variables with which a host finds it, and sends without waiting for more.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let protocol = if self.otlp == Otlp::Grpc { "grpc" } else { "http/protobuf" };
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.origin.clone()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned()),
        ]
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.received.spans.lock().unwrap().clone()
    }

    /// Whether a request had this header.
    pub fn was_sent(&self, header: &str) -> bool {
        self.received.headers.lock().unwrap().iter().any(|line| line == header)
    }

    /// Wait for as many spans of this name, oldest first.
    pub async fn wait_for(&self, name: &str, count: usize) -> Vec<Span> {
        let mut found = Vec::new();
        eventually(&format!("{count} spans {name:?} are there"), async || {
            found = self.spans().into_iter().filter(|span| span.name == name).collect();
            found.len() >= count
        })
        .await;
        found.sort_by_key(|span| span.start);
        found
    }

    /// Wait for the one span of this name.
    pub async fn one(&self, name: &str) -> Span {
        let mut found = self.wait_for(name, 1).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }
}

async fn answer(otlp: Otlp, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, sink: Received) {
    let stream = TokioIo::new(stream);
    // A connection that breaks is the client's to report.
    let _ = match otlp {
        Otlp::Grpc => {
            let server = TraceServiceServer::new(sink.clone()).accept_compressed(CompressionEncoding::Gzip);
            let serve = move |request: hyper::Request<Incoming>| {
                sink.head(request.headers());
                server.clone().call(request)
            };
            http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service_fn(serve)).await
        }
        Otlp::Http => {
            let serve = move |request: hyper::Request<Incoming>| {
                let sink = sink.clone();
                async move { Ok::<_, Infallible>(over_http(request, &sink).await) }
            };
            http1::Builder::new().serve_connection(stream, service_fn(serve)).await
        }
    };
}

async fn over_http(request: hyper::Request<Incoming>, sink: &Received) -> hyper::Response<Full<Bytes>> {
    sink.head(request.headers());
    let status = |status: u16| hyper::Response::builder().status(status).body(Full::default()).expect("a response");
    if request.uri().path() != "/v1/traces" {
        return status(404);
    }
    let Ok(body) = request.into_body().collect().await else { return status(400) };
    match ExportTraceServiceRequest::decode(body.to_bytes()) {
        Ok(request) => sink.add(request),
        Err(_) => return status(400),
    }
    let answer = Full::new(Bytes::from(ExportTraceServiceResponse::default().encode_to_vec()));
    hyper::Response::builder().header("content-type", "application/x-protobuf").body(answer).expect("a response")
}

//! Outgoing HTTP requests of one call: only granted ones, with secrets inserted, and within limits.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Request, Uri};
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::connector::{self, ConnectError, ConnectionPermit, Resolver};
use super::denials::Denials;
use super::exchange::{self, Answered, Timeouts, Transmission};
use super::grants::Grants;
use super::holdings::BODY_CHUNK;
use super::origin::Origin;
use super::reach::Reach;
use super::secret;
use super::traffic::TrafficMeter;
use super::unanswered::Unanswered;
use crate::printable::cut;
use pgq_job::{Reached, TracedCall, Traffic};

/// The most requests of one call: enough for any page of an API, too few for a flood.
const MAX_REQUESTS: u32 = 100;
const MAX_CONNECTIONS: usize = 16;
/// The most headers of one request. A map of them is full at 24,576, and the host and hyper insert
/// some of their own as if it never were. No server takes as many.
const MAX_HEADERS: usize = 1_000;
/// The most bytes of responses that one call may read.
const MAX_RECEIVED: u64 = 64 << 20;
/// How much of a path, and of a method, a trace is told.
const MAX_TOLD: usize = 1 << 10;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

pub(super) struct HttpHooks {
    grants: Arc<Grants>,
    denials: Arc<Denials>,
    resolver: Resolver,
    sent: u32,
    left: Arc<AtomicU64>,
    meter: Arc<TrafficMeter>,
    connections: Arc<Semaphore>,
    trace: Option<Arc<dyn TracedCall>>,
}

impl HttpHooks {
    pub(super) fn new(grants: Arc<Grants>, denials: Arc<Denials>, trace: Option<Arc<dyn TracedCall>>) -> HttpHooks {
        HttpHooks {
            grants,
            denials,
            resolver: connector::system_resolver(),
            sent: 0,
            left: Arc::new(MAX_RECEIVED.into()),
            meter: Arc::default(),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            trace,
        }
    }

    /// Prepare for the next call of the same instance.
    pub(super) fn renew(&mut self, denials: Arc<Denials>, trace: Option<Arc<dyn TracedCall>>) {
        // Most calls send nothing.
        if self.sent > 0 {
            (self.sent, self.left, self.meter) = (0, Arc::new(MAX_RECEIVED.into()), Arc::default());
        }
        (self.denials, self.trace) = (denials, trace);
    }

    /// The call is over.
    pub(super) fn end_trace(&mut self) {
        self.trace = None;
    }

    /// Whether requests were denied because there were too many.
    pub(super) fn is_full(&self) -> bool {
        self.sent > MAX_REQUESTS
    }

    /// What the call has sent and received so far.
    pub(super) fn traffic(&self) -> Traffic {
        self.meter.sum()
    }

    /// Check the request, and return the origin to send it to.
    fn check(&self, request: &mut Request<WasiBody>) -> Result<Origin, Unanswered> {
        let Some(origin) = Origin::of(request.uri()) else {
            let target = request.uri().authority().map(|authority| authority.host().to_owned()).unwrap_or_default();
            let why = "the request's target is ambiguous; write it like https://host[:port]/path";
            self.denials.deny("http", &target, why);
            return Err(Unanswered::denied(why));
        };
        if let Err(line) = self.grants.check_http(&origin, request.method()) {
            let why = if line.starts_with("http") { self.denials.remedy(&line) } else { line };
            self.denials.deny("http", &origin.to_string(), &why);
            return Err(Unanswered::denied(why));
        }
        if request.headers().len() > MAX_HEADERS {
            let why = format!("the request has more than {MAX_HEADERS} headers; send fewer headers");
            return Err(Unanswered { error: Error::HttpRequestHeaderSectionSize(None), why: Some(why) });
        }
        // With a whole URL in place of the path, a server that is also a proxy would fetch that
        // URL.
        let path = request
            .uri()
            .path_and_query()
            .filter(|path| path.as_str().starts_with('/'))
            .ok_or(Error::HttpRequestUriInvalid)?;
        *request.uri_mut() = Uri::from(path.clone());
        // Exactly one `Host` header: that of the checked origin, in its plain spelling.
        let host = HeaderValue::from_str(&origin.authority()).map_err(|_| Error::HttpRequestUriInvalid)?;
        request.headers_mut().insert(HOST, host);
        if let Err(why) = secret::substitute(request.headers_mut(), &self.grants.secrets, &origin) {
            let why = format!("{why} in the plugin's section of pgq-host.toml");
            self.denials.deny("secret", &origin.to_string(), &why);
            return Err(Unanswered::denied(why));
        }
        Ok(origin)
    }
}

impl HttpHooks {
    /// The trace is told of this request, and the server of the trace, unless the guest has told it
    /// of another.
    fn reach(&self, origin: &Origin, request: &mut Request<WasiBody>) -> Option<Reach> {
        let trace = self.trace.as_ref()?;
        let what = Reached::Server {
            method: cut(request.method().as_str(), MAX_TOLD).to_owned(),
            scheme: if origin.https { "https" } else { "http" },
            host: origin.host.to_string(),
            port: origin.port,
            path: cut(request.uri().path(), MAX_TOLD).to_owned(),
            has_query: request.uri().query().is_some(),
            status: None,
        };
        let reach = Reach::begin(trace, what);
        if let Some(context) = reach.context()
            && !request.headers().contains_key(TRACEPARENT)
        {
            // Both are ASCII, and never fail.
            let value = |text: &str| HeaderValue::from_str(text).ok();
            let headers = request.headers_mut();
            // A guest may have filled the map, and then nobody is told.
            let told = value(&context.traceparent()).map(|parent| headers.try_insert(TRACEPARENT, parent).is_ok());
            match context.state.as_deref().and_then(value).filter(|_| told == Some(true)) {
                Some(state) => drop(headers.try_insert(TRACESTATE, state)),
                // State without a parent is nothing to anybody.
                None => drop(headers.remove(TRACESTATE)),
            }
        }
        Some(reach)
    }

    /// Check the request, and send it. The one way out for requests of a guest, whichever interface
    /// they come through.
    pub(super) fn deliver(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> impl Future<Output = Result<Answered, Unanswered>> + Send + use<> {
        self.sent = self.sent.saturating_add(1);
        let checked = if self.is_full() {
            Err(Unanswered::denied(format!("a run may send {MAX_REQUESTS} requests at most")))
        } else {
            self.check(&mut request)
        };
        let mut reach = None;
        if let Ok(origin) = &checked {
            self.meter.request();
            reach = self.reach(origin, &mut request);
        }
        let (grants, denials) = (Arc::clone(&self.grants), Arc::clone(&self.denials));
        let (resolver, left, timeouts) = (Arc::clone(&self.resolver), Arc::clone(&self.left), Timeouts::from(options));
        let (connections, meter) = (Arc::clone(&self.connections), Arc::clone(&self.meter));
        // A redirect is a response like any other. If the guest follows it, that request is
        // checked, too.
        async move {
            let origin = checked?;
            let answering = async {
                let connecting = async {
                    // Waiting for a permit counts as connecting.
                    let permit = ConnectionPermit::acquire(connections).await;
                    Ok((permit, connector::connect(&grants, &origin, &resolver).await?))
                };
                let (permit, stream) = tokio::time::timeout(timeouts.connect, connecting)
                    .await
                    .map_err(|_| Error::ConnectionTimeout)?
                    .map_err(|error| match error {
                        ConnectError::Failed(error) => Unanswered::from(error),
                        ConnectError::Prohibited(found) => {
                            let line = format!("private-networks = [\"{}\"]", found[0]);
                            let why = format!(
                                "it leads to {found:?}, which is not on the public internet; to allow that, {}",
                                denials.remedy(&line)
                            );
                            denials.deny("address", &origin.to_string(), &why);
                            Unanswered { error: Error::DestinationIpProhibited, why: Some(why) }
                        }
                    })?;
                Ok(exchange::exchange(stream, permit, request, timeouts, left, meter).await?)
            };
            let answered: Result<Answered, Unanswered> = answering.await;
            match (reach, &answered) {
                (None, _) => {}
                (Some(reach), Ok((response, _))) => reach.answered(response.status().as_u16()),
                (Some(reach), Err(unanswered)) => reach.end(Some(unanswered.label().into())),
            }
            answered
        }
    }
}

type WasiAnswer = Box<dyn Future<Output = Result<Answered, Error>> + Send>;

impl WasiHttpHooks for HttpHooks {
    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _guest_done: Transmission,
    ) -> WasiAnswer {
        let answer = self.deliver(request, options);
        Box::new(async move { answer.await.map_err(|unanswered| unanswered.error) })
    }
}

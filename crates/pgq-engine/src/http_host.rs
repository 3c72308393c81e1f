//! `pgq:plugin/http`: requests of a guest, built step by step, then checked and sent as those of
//! `wasi:http` are.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks as _};

use super::bindings::pgq::plugin::http::{self as contract, ErrorKind, Host, HostError, HostRequest, HostResponse};
use super::holdings;
use super::http_hooks::HttpHooks;
use super::http_resources::{HttpErrorHandle, HttpRequestHandle, HttpResponseHandle};
use super::limits::Limits;
use super::resources::HEADER_BYTES;
use super::unanswered::Unanswered;
use crate::printable::{cut, printable};

/// The most bytes of a request's headers, names included: as much as `wasi:http` takes.
const MAX_HEADER_BYTES: usize = 128 << 10;
/// The most bytes of a response that one call returns.
const MAX_READ: usize = 256 << 10;

/// The interface's state in a store.
#[derive(Debug, Default)]
pub(super) struct HttpCtx {
    /// Requests to which the guest has a handle.
    requests: usize,
}

impl HttpCtx {
    /// Whether the guest holds a request, to which it may add a body.
    pub(super) fn has_requests(&self) -> bool {
        self.requests > 0
    }
}

/// The parts of a store that the interface uses.
pub(super) struct HttpView<'a> {
    pub(super) ctx: &'a mut HttpCtx,
    pub(super) table: &'a mut ResourceTable,
    pub(super) limits: &'a mut Limits,
    pub(super) hooks: &'a mut HttpHooks,
}

struct HasHttp;

impl HasData for HasHttp {
    type Data<'a> = HttpView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> HttpView<'_>,
) -> wasmtime::Result<()> {
    contract::add_to_linker::<T, HasHttp>(linker, view)
}

type Answer<T> = wasmtime::Result<Result<T, Resource<HttpErrorHandle>>>;

impl HttpView<'_> {
    /// The request, after accounting for `bytes` more bytes that it will hold.
    fn fill(&mut self, this: &Resource<HttpRequestHandle>, bytes: usize) -> wasmtime::Result<&mut HttpRequestHandle> {
        self.limits.settle(bytes);
        Ok(self.table.get_mut(this)?)
    }

    /// A handle to the error, for the guest.
    fn fail<T>(&mut self, error: HttpErrorHandle) -> Answer<T> {
        self.limits.settle(holdings::ENTRY + error.message.len());
        Ok(Err(self.table.push(error)?))
    }

    /// The request as it is sent. An error says what is wrong with it.
    fn assemble(&mut self, handle: HttpRequestHandle) -> Result<(Request<WasiBody>, Option<RequestOptions>), String> {
        let HttpRequestHandle { method, url, headers, body, timeout } = handle;
        let shown = |text: &str| printable(cut(text, 200)).into_owned();
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("{:?} is not a method; write it like GET", shown(&method)))?;
        let not_a_url = |why: String| format!("{:?} is not a URL: {why}; write it like https://host/path", shown(&url));
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| not_a_url(error.to_string()))?;
        let scheme = uri.scheme().ok_or_else(|| not_a_url("it has no scheme".into()))?;
        if !self.hooks.is_supported_scheme(scheme) {
            return Err(not_a_url("only http and https are supported".into()));
        }
        if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_HEADER_BYTES {
            return Err(format!("the headers have more than {} KiB; send less of them", MAX_HEADER_BYTES >> 10));
        }
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        for (name, value) in &headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("{:?} is not the name of a header", shown(name)))?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
                format!("the value of the header {header:?} has characters that no header may have; encode it")
            })?;
            // The host knows better how long the body is, and it alone speaks for the connection.
            if header == CONTENT_LENGTH || self.hooks.is_forbidden_header(&header) {
                continue;
            }
            request.headers_mut().try_append(header, value).map_err(|error| format!("{error}; send fewer headers"))?;
        }
        let options = timeout.map(|timeout| RequestOptions {
            connect_timeout: Some(timeout),
            first_byte_timeout: Some(timeout),
            between_bytes_timeout: Some(timeout),
        });
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
        Ok((request.map(|()| body), options))
    }
}

impl Host for HttpView<'_> {
    async fn send(&mut self, request: Resource<HttpRequestHandle>) -> Answer<Resource<HttpResponseHandle>> {
        let handle = self.table.delete(request)?;
        self.ctx.requests = self.ctx.requests.saturating_sub(1);
        // On the account until the request was sent.
        let held = handle.bytes();
        self.limits.settle(held);
        let answered = match self.assemble(handle) {
            Ok((request, options)) => self.hooks.deliver(request, options).await,
            Err(why) => Err(Unanswered { error: Error::HttpRequestUriInvalid, why: Some(why) }),
        };
        match answered {
            Ok(answered) => {
                let response = HttpResponseHandle::new(answered);
                self.limits.settle(holdings::CONNECTION + holdings::headers(&response.headers));
                Ok(Ok(self.table.push(response)?))
            }
            Err(unanswered) => self.fail(unanswered.into()),
        }
    }
}

impl HostRequest for HttpView<'_> {
    fn new(&mut self, method: String, url: String) -> wasmtime::Result<Resource<HttpRequestHandle>> {
        self.limits.settle(holdings::ENTRY + method.len() + url.len());
        let request = self.table.push(HttpRequestHandle { method, url, ..HttpRequestHandle::default() })?;
        self.ctx.requests += 1;
        Ok(request)
    }

    fn header(&mut self, this: Resource<HttpRequestHandle>, name: String, value: String) -> wasmtime::Result<()> {
        self.fill(&this, name.len() + value.len() + HEADER_BYTES)?.headers.push((name, value));
        Ok(())
    }

    fn body(&mut self, this: Resource<HttpRequestHandle>, mut bytes: Vec<u8>) -> wasmtime::Result<()> {
        let request = self.fill(&this, bytes.len())?;
        if request.body.is_empty() {
            request.body = bytes;
        } else {
            // Exactly as much as it takes: what is reserved ahead would be held as well.
            request.body.reserve_exact(bytes.len());
            request.body.append(&mut bytes);
        }
        Ok(())
    }

    fn timeout(&mut self, this: Resource<HttpRequestHandle>, ms: u64) -> wasmtime::Result<()> {
        self.fill(&this, 0)?.timeout = Some(Duration::from_millis(ms.max(1)));
        Ok(())
    }

    fn drop(&mut self, this: Resource<HttpRequestHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        self.ctx.requests = self.ctx.requests.saturating_sub(1);
        Ok(())
    }
}

impl HostResponse for HttpView<'_> {
    fn status(&mut self, this: Resource<HttpResponseHandle>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&this)?.status)
    }

    fn headers(&mut self, this: Resource<HttpResponseHandle>) -> wasmtime::Result<Vec<(String, String)>> {
        let headers = &self.table.get(&this)?.headers;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect())
    }

    async fn read(&mut self, this: Resource<HttpResponseHandle>, max_bytes: u32) -> Answer<Vec<u8>> {
        let most = usize::try_from(max_bytes).unwrap_or(usize::MAX).clamp(1, MAX_READ);
        match self.table.get_mut(&this)?.read(most).await {
            Ok(bytes) => {
                self.limits.settle(0);
                Ok(Ok(bytes.into()))
            }
            Err(error) => self.fail(Unanswered::from(error).into()),
        }
    }

    fn drop(&mut self, this: Resource<HttpResponseHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostError for HttpView<'_> {
    fn kind(&mut self, this: Resource<HttpErrorHandle>) -> wasmtime::Result<ErrorKind> {
        Ok(kind(&self.table.get(&this)?.error))
    }

    fn message(&mut self, this: Resource<HttpErrorHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&this)?.message.clone())
    }

    fn drop(&mut self, this: Resource<HttpErrorHandle>) -> wasmtime::Result<()> {
        self.limits.settle(0);
        self.table.delete(this)?;
        Ok(())
    }
}

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::HttpRequestDenied | Error::DestinationIpProhibited => ErrorKind::Denied,
        Error::HttpRequestUriInvalid | Error::HttpRequestMethodInvalid | Error::HttpRequestHeaderSectionSize(_) => {
            ErrorKind::Invalid
        }
        Error::Connect(_)
        | Error::Tls(_)
        | Error::DnsError { .. }
        | Error::DnsTimeout
        | Error::DestinationNotFound
        | Error::DestinationUnavailable
        | Error::ConnectionRefused => ErrorKind::Unreachable,
        Error::ConnectionTimeout
        | Error::ConnectionReadTimeout
        | Error::ConnectionWriteTimeout
        | Error::HttpResponseTimeout => ErrorKind::Timeout,
        Error::HttpResponseBodySize(_) => ErrorKind::TooLarge,
        _ => ErrorKind::Protocol,
    }
}

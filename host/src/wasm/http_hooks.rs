//! Outgoing HTTP of one run: only to granted origins, and not without end.

use std::sync::Arc;

use http_body_util::BodyExt as _;

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use super::grants::Grants;

/// Requests that one run may send: enough for any page of an API, too few for a flood.
const MAX_REQUESTS: u32 = 100;

pub(super) struct HttpHooks {
    grants: Arc<Grants>,
    sent: u32,
}

impl HttpHooks {
    pub(super) fn new(grants: Arc<Grants>) -> HttpHooks {
        HttpHooks { grants, sent: 0 }
    }

    /// For the next call of the same instance.
    pub(super) fn renew(&mut self) {
        self.sent = 0;
    }

    /// Requests were refused because there were too many.
    pub(super) fn is_full(&self) -> bool {
        self.sent > MAX_REQUESTS
    }
}

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for HttpHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _guest_done: Transmission,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmission), Error>> + Send> {
        self.sent += 1;
        // The URI checked here is the one the connection is made to: there is no second look-up that could differ, and redirects
        // are never followed by the host.
        if self.sent > MAX_REQUESTS || !self.grants.allows(request.uri()) {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        Box::new(async move {
            let (response, transmission) = wasmtime_wasi_http::default_send_request(request, options).await?;
            Ok((response.map(|body| body.boxed_unsync()), Box::new(transmission) as Transmission))
        })
    }
}

//! Why a request of a guest has no response.

use wasmtime_wasi_http::Error;

/// Why there is no response.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) error: Error,
    /// Of a request that was denied, with the remedy.
    pub(super) why: Option<String>,
}

impl Unanswered {
    pub(super) fn denied(why: impl Into<String>) -> Unanswered {
        Unanswered { error: Error::HttpRequestDenied, why: Some(why.into()) }
    }
}

impl Unanswered {
    /// The kind of failure in a word, for traces.
    pub(super) fn label(&self) -> &'static str {
        match self.error {
            Error::HttpRequestDenied | Error::DestinationIpProhibited => "denied",
            Error::HttpRequestUriInvalid | Error::HttpRequestMethodInvalid | Error::HttpRequestHeaderSectionSize(_) => {
                "invalid"
            }
            Error::DnsError { .. } | Error::DnsTimeout | Error::DestinationNotFound => "dns",
            Error::Tls(_) => "tls",
            Error::Connect(_) | Error::DestinationUnavailable | Error::ConnectionRefused => "connect",
            Error::ConnectionTimeout
            | Error::ConnectionReadTimeout
            | Error::ConnectionWriteTimeout
            | Error::HttpResponseTimeout => "timeout",
            _ => "protocol",
        }
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered { error, why: None }
    }
}

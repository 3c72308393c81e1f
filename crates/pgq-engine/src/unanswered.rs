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

impl From<Error> for Unanswered {
    fn from(error: Error) -> Unanswered {
        Unanswered { error, why: None }
    }
}

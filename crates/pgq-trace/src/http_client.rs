//! The client for OTLP over HTTP. The exporter tells of a request that failed only that it did; here is
//! why.

use std::error::Error;
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// Why the last request did not reach the collector, or its answer not us.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, why: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }
}

/// Sends, and remembers why that failed.
#[derive(Debug)]
pub(crate) struct TellingClient {
    pub(crate) client: reqwest::Client,
    pub(crate) failure: LastFailure,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for TellingClient {
    // As `async_trait` writes it.
    fn send_bytes<'me, 'a>(&'me self, request: Request<Bytes>) -> Answer<'a>
    where
        'me: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let answer = self.client.send_bytes(request).await;
            self.failure.put(answer.as_ref().err().map(|error| told(error.as_ref())));
            answer
        })
    }
}

/// The error and its causes, without the address: the log says it anyway, and a query may be a secret.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => "no answer in time".to_owned(),
        Some(error) if error.is_connect() => "no connection".to_owned(),
        Some(_) => "the connection broke".to_owned(),
        None => error.to_string(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !told.ends_with(&text) {
            let _ = write!(told, ": {text}");
        }
        cause = error.source();
    }
    told
}

//! The data behind the handles of `pgq:plugin/http`.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

use super::exchange::{Answered, Transmission};
use super::resources::HEADER_BYTES;
use super::unanswered::Unanswered;

/// The resource `request`: one that was not sent yet.
#[derive(Debug, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HttpRequestHandle {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Option<Duration>,
}

impl HttpRequestHandle {
    /// How many bytes the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES);
        self.method.len() + self.url.len() + self.body.capacity() + headers.sum::<usize>()
    }
}

/// The resource `response`. Its connection does nothing while nobody reads.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HttpResponseHandle {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    body: WasiBody,
    connection: Option<Pin<Transmission>>,
    /// Of the body: received, but not read yet.
    rest: Bytes,
}

impl HttpResponseHandle {
    pub(super) fn new((response, connection): Answered) -> HttpResponseHandle {
        let (head, body) = response.into_parts();
        HttpResponseHandle {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            connection: Some(Pin::from(connection)),
            rest: Bytes::new(),
        }
    }

    /// Wait for the next bytes of the body. None are the end.
    pub(super) async fn read(&mut self, most: usize) -> Result<Bytes, Error> {
        while self.rest.is_empty() {
            let Some(frame) = self.frame().await else { return Ok(Bytes::new()) };
            // What is no data are trailers, which come last.
            self.rest = frame?.into_data().unwrap_or_default();
        }
        Ok(self.rest.split_to(most.min(self.rest.len())))
    }

    async fn frame(&mut self) -> Option<Result<hyper::body::Frame<Bytes>, Error>> {
        let mut frame = self.body.frame();
        let connection = &mut self.connection;
        poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut frame).poll(context) {
                return Poll::Ready(frame);
            }
            // The body has the connection's error as well.
            let over = connection.as_mut().is_some_and(|working| working.as_mut().poll(context).is_ready());
            if over {
                *connection = None;
                return Pin::new(&mut frame).poll(context);
            }
            Poll::Pending
        })
        .await
    }
}

/// The resource `error`.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct HttpErrorHandle {
    pub(super) error: Error,
    pub(super) message: String,
}

impl From<Unanswered> for HttpErrorHandle {
    fn from(Unanswered { error, why }: Unanswered) -> HttpErrorHandle {
        HttpErrorHandle { message: why.unwrap_or_else(|| error.to_string()), error }
    }
}

//! Sends one HTTP/1.1 request over a connection and receives the response, within the guest's
//! timeouts and its remaining bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::FusedFuture as _;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::connector::{ConnectionPermit, Stream};
use super::traffic::TrafficMeter;

/// Used if the guest sets no timeout. It is longer than most runs, whose deadline then decides.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The most bytes before the head of the response is complete, including interim responses.
const MAX_HEAD: usize = 256 << 10;
/// The most bytes read from a connection before somebody takes them.
const MAX_BUFFER: usize = 128 << 10;

/// The connection's remaining work for the body, after the head of the response.
pub(super) type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The head of a response, and what the connection has to do for its body.
pub(super) type Answered = (http::Response<WasiBody>, Transmission);

/// The guest's timeouts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    first_byte: Duration,
    between_bytes: Duration,
}

impl From<Option<RequestOptions>> for Timeouts {
    fn from(options: Option<RequestOptions>) -> Timeouts {
        let options = options.unwrap_or_default();
        Timeouts {
            connect: options.connect_timeout.unwrap_or(DEFAULT_TIMEOUT),
            first_byte: options.first_byte_timeout.unwrap_or(DEFAULT_TIMEOUT),
            between_bytes: options.between_bytes_timeout.unwrap_or(DEFAULT_TIMEOUT),
        }
    }
}

/// Send the request, and wait for the head of the response.
pub(super) async fn exchange(
    stream: Box<dyn Stream>,
    permit: ConnectionPermit,
    request: http::Request<WasiBody>,
    timeouts: Timeouts,
    left: Arc<AtomicU64>,
    meter: Arc<TrafficMeter>,
) -> Result<Answered, Error> {
    let before_head = Arc::new(AtomicUsize::new(MAX_HEAD));
    let stream = LimitedStream { stream, left: Arc::clone(&before_head), meter, _permit: permit };
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
    let mut connection = Box::pin(connection).fuse();
    let sending = tokio::time::timeout(timeouts.first_byte, sender.send_request(request));
    tokio::pin!(sending);
    let response = loop {
        tokio::select! {
            biased;
            response = &mut sending => break response.map_err(|_| Error::ConnectionReadTimeout)??,
            // If the connection failed, `sender` has received the error.
            _ = &mut connection, if !connection.is_terminated() => {}
        }
    };
    before_head.store(usize::MAX, Ordering::Relaxed);
    let silence = Box::pin(tokio::time::sleep(timeouts.between_bytes));
    let response = response
        .map(|incoming| ResponseBody { incoming, patience: timeouts.between_bytes, silence, left }.boxed_unsync());
    let transmission =
        async move { if connection.is_terminated() { Ok(()) } else { connection.await.map_err(Error::from) } };
    Ok((response, Box::new(transmission)))
}

/// The incoming side of a connection. Any number of interim responses (1xx) may precede the
/// response, and the parser skips them in a loop that does not yield. So everything before the
/// response is limited.
struct LimitedStream {
    stream: Box<dyn Stream>,
    left: Arc<AtomicUsize>,
    meter: Arc<TrafficMeter>,
    _permit: ConnectionPermit,
}

impl AsyncRead for LimitedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.left.load(Ordering::Relaxed);
        if left == usize::MAX {
            let before = buffer.filled().len();
            let read = Pin::new(&mut self.stream).poll_read(context, buffer);
            self.meter.received(buffer.filled().len() - before);
            return read;
        }
        let mut some = [0; 4 << 10];
        let most = some.len().min(left).min(buffer.remaining());
        if most == 0 && buffer.remaining() > 0 {
            return Poll::Ready(Err(io::Error::other(
                "the head of the response is too long, or too many interim responses precede it",
            )));
        }
        let mut read = ReadBuf::new(&mut some[..most]);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        self.left.store(left - read.filled().len(), Ordering::Relaxed);
        self.meter.received(read.filled().len());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LimitedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of a response.
struct ResponseBody {
    incoming: Incoming,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    left: Arc<AtomicU64>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) else {
            ready!(self.silence.as_mut().poll(context));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        let next = Instant::now() + self.patience;
        self.silence.as_mut().reset(next);
        let Some(frame) = frame.transpose()? else { return Poll::Ready(None) };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size)).is_err() {
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

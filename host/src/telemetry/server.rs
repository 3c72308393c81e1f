//! An HTTP/1.1 server for three pages. There is nothing to route, so it needs no framework.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::health::Report;
use super::pages::Pages;

/// Scrapers and probes need few connections. If there are more, a new connection replaces the
/// oldest one that has not sent a request; a probe sends its own at once.
const MAX_CONNECTIONS: usize = 32;
/// The time to send a request's head, and between two requests.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// No probe's request is longer.
const MAX_HEAD: usize = 16 << 10;
/// How often counts are folded into buckets. Otherwise they would accumulate until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// Bind the address.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Serve the pages forever.
pub(super) async fn serve(listener: TcpListener, pages: &'static Pages) {
    let mut connections = FuturesUnordered::new();
    let mut visitors = VecDeque::<Connection>::new();
    let mut upkeep = interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_place = connections.len() < MAX_CONNECTIONS || visitors.iter().any(Connection::is_idle);
        tokio::select! {
            accepted = listener.accept(), if is_place => match accepted {
                Ok((stream, _)) => {
                    visitors.retain(|visitor| !visitor.is_closed());
                    if visitors.len() >= MAX_CONNECTIONS && let Some(oldest) = visitors.iter().position(Connection::is_idle) {
                        visitors.remove(oldest);
                    }
                    let (visitor, busy, closed) = Connection::new();
                    visitors.push_back(visitor);
                    connections.push(async move {
                        // Closed when the visitor is removed.
                        tokio::select! { () = serve_connection(stream, pages, &busy) => {} _ = closed => {} }
                    });
                }
                // Most likely out of file descriptors. Accepting again at once would only spin.
                Err(error) => {
                    tracing::debug!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(()) = connections.next() => {}
            _ = upkeep.tick() => pages.counts.run_upkeep(),
        }
    }
}

/// A connection's place in the list. Dropping it closes the connection.
struct Connection {
    busy: Arc<AtomicBool>,
    keep_open: oneshot::Sender<Infallible>,
}

impl Connection {
    fn new() -> (Connection, Arc<AtomicBool>, oneshot::Receiver<Infallible>) {
        let busy = Arc::new(AtomicBool::new(false));
        let (keep_open, closed) = oneshot::channel();
        (Connection { busy: Arc::clone(&busy), keep_open }, busy, closed)
    }

    /// Whether it waits for a request.
    fn is_idle(&self) -> bool {
        !self.busy.load(Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.keep_open.is_closed()
    }
}

async fn serve_connection(stream: TcpStream, pages: &'static Pages, busy: &AtomicBool) {
    let service = service_fn(async |request| {
        busy.store(true, Ordering::Relaxed);
        let answer = answer(request, pages).await;
        busy.store(false, Ordering::Relaxed);
        Ok::<_, Infallible>(answer)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = connection {
        tracing::debug!(error = %error, "a connection to the pages ended");
    }
}

async fn answer(request: Request<Incoming>, pages: &Pages) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are supported\n".into());
    }
    let worker = pages.worker();
    match request.uri().path() {
        "/healthz" => report(&Report::alive(worker.as_deref()).await),
        "/readyz" => report(&Report::ready(worker.as_deref()).await),
        "/metrics" => {
            let mut page = text(StatusCode::OK, pages.metrics().await);
            let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            page.headers_mut().insert(header::CONTENT_TYPE, kind);
            page
        }
        _ => text(StatusCode::NOT_FOUND, "the pages are /healthz, /readyz and /metrics\n".into()),
    }
}

fn report(report: &Report) -> Response<Full<Bytes>> {
    text(if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report.to_string())
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

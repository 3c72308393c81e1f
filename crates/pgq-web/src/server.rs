//! An HTTP/1.1 server in which nobody can take what another needs: connections, bytes and times are
//! bounded, and probes are answered however many pages are open.

mod answer;
mod bind;
mod limits;
mod patient;
mod timed;
mod visits;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

pub use axum::body::Body;
use axum::response::IntoResponse as _;
pub use axum::response::Response;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::peer::Peer;
use answer::Answer;
pub use bind::bind;
use limits::{BODY_TIMEOUT, HEAD_TIMEOUT, MAX_HEAD, STOP_TIMEOUT};
use patient::Patient;
use timed::Timed;
use visits::{Visit, Visits};

/// Answers a request.
pub type Handler = Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Response> + Send + Sync>;

/// What is served.
#[derive(Clone)]
pub struct Front {
    /// The paths of probes and scrapers.
    pub open_paths: &'static [&'static str],
    /// Answers those. Their connections have places of their own.
    pub open: Handler,
    /// Answers everything else.
    pub pages: Handler,
}

/// Serve until `stop`. Then nobody is let in, requests are answered to their end, and streams end.
pub async fn serve(listener: TcpListener, front: Front, stop: CancellationToken) {
    let (visits, mut tasks) = (Arc::new(Visits::default()), JoinSet::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = tasks.join_next() => report(ended),
            accepted = next(&listener, &visits) => match accepted {
                Ok((stream, peer)) => {
                    let (visit, front, stop) = (visits.enter(), front.clone(), stop.clone());
                    tasks.spawn(connection(stream, Peer(peer), front, Arc::clone(&visits), visit, stop));
                }
                // Most likely out of file descriptors. Accepting again at once would only spin.
                Err(error) => {
                    tracing::debug!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let rest = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    // Those who read slowly are not waited for.
    let _ = tokio::time::timeout(STOP_TIMEOUT, rest).await;
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(error = %error, "a connection to the pages failed");
    }
}

/// The next connection, once there is a place for it.
async fn next(listener: &TcpListener, visits: &Visits) -> std::io::Result<(TcpStream, std::net::SocketAddr)> {
    visits.room().await;
    listener.accept().await
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    front: Front,
    visits: Arc<Visits>,
    visit: Arc<Visit>,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let left = visit.clone().leave_at_the_end(Arc::clone(&visits));
    let service = service_fn(|request: Request<Incoming>| {
        let (front, visits, visit, stop) = (front.clone(), Arc::clone(&visits), Arc::clone(&visit), stop.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, &front, &visits, visit, stop).await) }
    });
    let mut http = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(Patient::new(stream)), service)
    );
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = visit.dismissed() => Ok(()),
        () = stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    drop(left);
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection to the pages ended");
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    front: &Front,
    visits: &Arc<Visits>,
    visit: Arc<Visit>,
    stop: CancellationToken,
) -> Response<Answer> {
    let busy = visit.busy(Arc::clone(visits));
    let is_open = front.open_paths.contains(&request.uri().path());
    if !is_open && !visits.take_page(&visit) {
        return full().map(|body| Answer::new(body, busy, stop));
    }
    let mut request = request.map(|body| Body::new(Timed::new(body, BODY_TIMEOUT)));
    request.extensions_mut().insert(peer);
    let handler = if is_open { &front.open } else { &front.pages };
    handler(request).await.map(|body| Answer::new(body, busy, stop))
}

/// Every place is taken by somebody who is being answered.
fn full() -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open; try again\n").into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
    response
}

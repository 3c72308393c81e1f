//! What a host answers to probes and scrapers, and to everybody else.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request, StatusCode, header};
use pgq_web::server::{self, Body, Front, Handler, Response};
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::health::Report;
use super::pages::Pages;

const PATHS: &[&str] = &["/healthz", "/readyz", "/metrics"];
/// How often counts are folded into buckets. Otherwise they would accumulate until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// Serve the pages forever, and the site if there is one.
pub(super) async fn serve(listener: TcpListener, pages: &'static Pages, site: Option<Handler>) {
    let front = Front {
        open_paths: PATHS,
        open: Arc::new(move |request| answer(request, pages).boxed()),
        pages: site.unwrap_or_else(|| Arc::new(|_| ready(no_site()).boxed())),
    };
    tokio::join!(server::serve(listener, front, CancellationToken::new()), upkeep(pages));
}

async fn upkeep(pages: &Pages) {
    let mut upkeep = interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        upkeep.tick().await;
        pages.counts.run_upkeep();
    }
}

async fn answer(request: Request<Body>, pages: &Pages) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are supported\n".into());
    }
    let worker = pages.worker();
    match request.uri().path() {
        "/healthz" => report(&Report::alive(worker.as_deref()).await),
        "/readyz" => report(&Report::ready(worker.as_deref()).await),
        _ => {
            let mut page = text(StatusCode::OK, pages.metrics().await);
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            page.headers_mut().insert(header::CONTENT_TYPE, kind);
            page
        }
    }
}

fn no_site() -> Response {
    let remedy = "there are /healthz, /readyz and /metrics; the pages of the queue need a login here: see [web] in pgq-host.toml\n";
    text(StatusCode::NOT_FOUND, remedy.into())
}

fn report(report: &Report) -> Response {
    text(if report.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, report.to_string())
}

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

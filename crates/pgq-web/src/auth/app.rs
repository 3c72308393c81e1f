//! The site behind its gate: every request passes here before a page sees it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Uri};
use tower_service::Service as _;

use super::access::Access;
use super::client::Client;
use super::credentials::Credentials;
use super::csrf;
use super::expiring::expiring;
use super::gate::{Denied, Gate};
use super::headers::protect;
use super::login::{login, logout};
use super::origin;
use super::refusal::Asker;
use crate::peer::Peer;
use crate::server::Handler;
use crate::site::Site;
use crate::visitor::Role;

/// Styles, scripts and pictures: the same for everybody, and public anyway.
const PUBLIC: &str = "/assets/";

/// All that is served to people and programs.
pub struct App {
    gate: Gate,
    site: Site,
    router: Router,
}

impl App {
    /// The router of the site, for those who have access. `port` is where it is served.
    pub fn new(router: Router, site: Site, access: Access, port: u16) -> App {
        App { gate: Gate::new(access, port), site, router }
    }

    /// What a server calls.
    pub fn handler(self) -> Handler {
        let app = Arc::new(self);
        Arc::new(move |request| {
            let app = Arc::clone(&app);
            Box::pin(async move {
                let mut response = app.answer(request).await.unwrap_or_else(|refused| refused);
                protect(response.headers_mut());
                response
            })
        })
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response, Response> {
        let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let access = &self.gate.access;
        let client = Client::of(peer.ip(), request.headers(), &access.proxies);
        let asker = Asker::of(&request);
        let host = client.host.as_deref().filter(|host| origin::is_known(host, &access.hosts, access.is_open()));
        let Some(host) = host else {
            let detail = "the site is not known by this name: use localhost, or name it in `hosts` under [web]";
            return Err(asker.refused(&self.site, StatusCode::MISDIRECTED_REQUEST, detail));
        };
        let is_safe = csrf::is_safe(request.method());
        if !is_safe && !origin::is_own(request.headers(), host, &access.hosts) {
            return Err(asker.refused(&self.site, StatusCode::FORBIDDEN, "the request comes from another site"));
        }
        let request = self.within(request).ok_or_else(|| {
            let detail = format!("the site is served below {}", self.site.link("/"));
            asker.refused(&self.site, StatusCode::NOT_FOUND, &detail)
        })?;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/login" => return Ok(login(request, &self.gate, &self.site, &client).await),
            path if is_read && path.starts_with(PUBLIC) => return Ok(self.serve(request).await),
            _ => {}
        }
        self.admit(request, &client).await
    }

    async fn admit(&self, request: Request<Body>, client: &Client) -> Result<Response, Response> {
        let asker = Asker::of(&request);
        let credentials = Credentials::of(request.headers(), &self.gate.cookie);
        let admitted = self.gate.admit(credentials, client.address).await.map_err(|denied| match denied {
            Denied::Unknown => asker.unknown(&self.site),
            Denied::Wrong => asker.wrong(),
            Denied::TooOften(wait) => asker.too_often(&self.site, wait),
            Denied::Busy => asker.busy(&self.site),
        })?;
        let is_logout = request.uri().path() == "/logout" && *request.method() == Method::POST;
        if !csrf::is_safe(request.method()) && !is_logout && admitted.visitor.role < Role::Operator {
            return Err(asker.refused(&self.site, StatusCode::FORBIDDEN, "an operator's role is needed for this"));
        }
        let mut request = if csrf::is_safe(request.method()) || !admitted.needs_proof {
            request
        } else {
            let proved = csrf::proved(request, &admitted.visitor.csrf).await;
            proved.ok_or_else(|| {
                let detail = "the proof that this page asked for it is missing or old: load the page again, or send \
                              `X-CSRF-Token` with what /api/v1/me says";
                asker.refused(&self.site, StatusCode::FORBIDDEN, detail)
            })?
        };
        if is_logout {
            return Ok(logout(&request, &self.gate, &self.site, client));
        }
        request.extensions_mut().insert(admitted.visitor);
        let response = self.serve(request).await;
        Ok(match admitted.session {
            Some(session) => expiring(response, session),
            None => response,
        })
    }

    async fn serve(&self, request: Request<Body>) -> Response {
        let Ok(response) = self.router.clone().call(request).await;
        response
    }

    /// The request with a path within the site.
    fn within(&self, request: Request<Body>) -> Option<Request<Body>> {
        let (mut head, body) = request.into_parts();
        let path = self.site.within(head.uri.path())?;
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path: PathAndQuery = format!("{path}{query}").parse().ok()?;
        head.uri = Uri::from(path);
        Some(Request::from_parts(head, body))
    }
}

//! Why a request goes no further, told in the way that whoever asked can read.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use super::login_page;
use super::target;
use crate::problem::Problem;
use crate::site::Site;

/// How whoever asks can be answered.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// A browser that shows what it gets.
    is_page: bool,
    /// A script of a page of ours, which shows a part of what it gets.
    is_part: bool,
    is_browser: bool,
    /// The path and query within the site.
    path: String,
}

impl Asker {
    pub(super) fn of(request: &Request<Body>) -> Asker {
        let headers = request.headers();
        let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let is_part = headers.contains_key("hx-request");
        Asker {
            is_page: !is_part && accepts.contains("text/html") && !path.starts_with("/api/"),
            is_part,
            is_browser: headers.contains_key("sec-fetch-mode") || headers.contains_key(header::ORIGIN),
            path: if *request.method() == Method::GET { path } else { "/".to_owned() },
        }
    }

    /// Log in first.
    pub(super) fn unknown(&self, site: &Site) -> Response {
        let login = format!("{}?next={}", site.link("/login"), target::escaped(&self.path));
        let Ok(login) = HeaderValue::try_from(login) else { return StatusCode::UNAUTHORIZED.into_response() };
        if self.is_page {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, login)]).into_response();
        }
        let detail = "log in first, or send a token: `Authorization: Bearer TOKEN`";
        let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
        if self.is_part {
            response.headers_mut().insert("hx-redirect", login);
        }
        self.challenge(response.headers_mut());
        response
    }

    /// What was sent is not right.
    pub(super) fn wrong(&self) -> Response {
        let mut response =
            Problem::new(StatusCode::UNAUTHORIZED, "the token, or the name and password, is wrong").into_response();
        self.challenge(response.headers_mut());
        response
    }

    /// A browser that is asked for Basic credentials by an answer to a script opens a dialog.
    fn challenge(&self, headers: &mut HeaderMap) {
        let scheme =
            if self.is_browser || self.is_part { "Bearer" } else { "Basic realm=\"pgq-host\", charset=\"UTF-8\"" };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }

    /// It tried too often.
    pub(super) fn too_often(&self, site: &Site, wait: Duration) -> Response {
        let seconds = wait.as_secs() + 1;
        let detail = format!("too many logins failed; try again in {seconds} s");
        let mut response = self.refused(site, StatusCode::TOO_MANY_REQUESTS, &detail);
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        response
    }

    /// Too many want the same.
    pub(super) fn busy(&self, site: &Site) -> Response {
        let mut response = self.refused(site, StatusCode::SERVICE_UNAVAILABLE, "too many log in at once; try again");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        response
    }

    /// For this reason.
    pub(super) fn refused(&self, site: &Site, status: StatusCode, detail: &str) -> Response {
        if self.is_page {
            (status, login_page::message(site, status.canonical_reason().unwrap_or("Refused"), detail)).into_response()
        } else {
            Problem::new(status, detail).into_response()
        }
    }
}

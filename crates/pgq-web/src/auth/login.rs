//! Logging in and out by the page.

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, Request, StatusCode, header};

use super::client::Client;
use super::credentials::cookies;
use super::gate::{Denied, Gate};
use super::refusal::Asker;
use super::{login_page, target};
use crate::site::Site;

/// No login is longer.
const MAX_FORM: usize = 8 << 10;

/// `/login`: the form, and what was entered.
pub(super) async fn login(request: Request<Body>, gate: &Gate, site: &Site, client: &Client) -> Response {
    let asker = Asker::of(&request);
    if *request.method() != Method::POST {
        let query = request.uri().query().unwrap_or_default();
        let next = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "next");
        let next = next.map_or_else(|| "/".to_owned(), |(_, next)| target::within(&next).to_owned());
        if gate.access.is_open() {
            return to(&site.link(&next)).into_response();
        }
        return login_page::form(site, &next, "", None).into_response();
    }
    let Ok(body) = to_bytes(request.into_body(), MAX_FORM).await else {
        return asker.refused(site, StatusCode::PAYLOAD_TOO_LARGE, "a login is shorter than 8 KiB");
    };
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(&body);
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (name, password, next) = (field("name"), field("password"), field("next"));
    let next = target::within(&next);
    let found = if name.is_empty() {
        let token = gate.token(&password, client.address);
        token.map(|token| (std::sync::Arc::clone(&token.name), token.role, Some(token)))
    } else {
        let account = gate.log_in(&name, &password, client.address).await;
        account.map(|account| (account.name.as_str().into(), account.role, None))
    };
    let failed =
        |status: StatusCode, why: &str| (status, login_page::form(site, next, &name, Some(why))).into_response();
    match found {
        Ok((name, role, token)) => {
            let key = gate.sessions.begin(name, role, token);
            let seconds = gate.sessions.longest().as_secs();
            let mut response = to(&site.link(next));
            set_cookie(&mut response, gate, site, client, &key, seconds);
            response
        }
        Err(Denied::TooOften(wait)) => {
            let seconds = wait.as_secs() + 1;
            let mut response =
                failed(StatusCode::TOO_MANY_REQUESTS, &format!("Too many logins failed. Try again in {seconds} s."));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        Err(Denied::Busy) => failed(StatusCode::SERVICE_UNAVAILABLE, "Too many log in at once. Try again."),
        Err(Denied::Wrong | Denied::Unknown) => {
            let what = if name.is_empty() { "The token is wrong." } else { "The name or the password is wrong." };
            failed(StatusCode::UNAUTHORIZED, what)
        }
    }
}

/// `/logout`.
pub(super) fn logout(request: &Request<Body>, gate: &Gate, site: &Site, client: &Client) -> Response {
    for key in cookies(request.headers(), &gate.cookie) {
        gate.sessions.end(&key);
    }
    let mut response = to(&site.link("/login"));
    set_cookie(&mut response, gate, site, client, "", 0);
    response
}

fn to(link: &str) -> Response {
    // A link of the site is plain text, so it is a header.
    let link = HeaderValue::from_str(link).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, link)]).into_response()
}

/// `Lax`: a link in a message leads to the page that it names, and a form of another site is sent
/// without the cookie.
fn set_cookie(response: &mut Response, gate: &Gate, site: &Site, client: &Client, key: &str, seconds: u64) {
    let secure = if client.secure { "; Secure" } else { "" };
    let (name, path) = (&gate.cookie, site.link("/"));
    let cookie = format!("{name}={key}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

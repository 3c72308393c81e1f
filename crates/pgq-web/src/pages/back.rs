//! After a change: back to where one came from, with a sentence on what was done.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::desk::Desk;
use super::flash::Flash;

/// To this page of the site. What leads out of it leads to its first page.
pub(crate) fn back(desk: &Desk, path: &str, flash: &Flash) -> Response {
    let path = if is_ours(path) { path } else { "/" };
    let place = HeaderValue::from_str(&desk.link(path)).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response();
    if let Some(cookie) = flash.cookie(&desk.link("")) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A path below the site's, in printable ASCII, and nothing that a browser takes for another host.
fn is_ours(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && path.starts_with('/') && !path.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_stays_in_the_site() {
        assert!(is_ours("/") && is_ours("/jobs?status=failed&error=a%20b"));
        for path in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "jobs", "/a\r\nSet-Cookie: b=c", "/\t/x"]
        {
            assert!(!is_ours(path), "{path:?}");
        }
    }
}

//! Proof that a change comes from a page of ours: a browser sends cookies and passwords along by
//! itself, whoever wrote the page, and so they prove nothing of that.

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, header};
use subtle::ConstantTimeEq as _;

/// Where a script has it.
const HEADER: &str = "x-csrf-token";
/// Where a form has it.
const FIELD: &str = "csrf";
/// The longest form that is read.
const MAX_FORM: usize = 2 << 20;

/// Whether a request of this kind changes nothing.
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The request, if it proves to come from a page that was given `expected`. A form is read for it,
/// and is there to be read again.
pub(super) async fn proved(request: Request<Body>, expected: &str) -> Option<Request<Body>> {
    let matches = |sent: &[u8]| bool::from(sent.ct_eq(expected.as_bytes()));
    if let Some(sent) = request.headers().get(HEADER) {
        return matches(sent.as_bytes()).then_some(request);
    }
    if !is_form(request.headers()) {
        return None;
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_FORM).await.ok()?;
    let sent = form_urlencoded::parse(&body).find(|(key, _)| key == FIELD)?.1;
    matches(sent.as_bytes()).then(|| Request::from_parts(head, Body::from(body.clone())))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_proved(headers: &[(&str, &str)], body: &str) -> bool {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let proved = proved(request.body(Body::from(body.to_owned())).expect("a request"), "secret").await;
        let Some(request) = proved else { return false };
        assert_eq!(to_bytes(request.into_body(), 1 << 20).await.expect("a body"), body, "it can be read again");
        true
    }

    #[tokio::test]
    async fn a_header_or_a_field_of_a_form_proves_it() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        assert!(is_proved(&[("x-csrf-token", "secret")], "{}").await);
        assert!(is_proved(&[form], "a=1&csrf=secret").await);
        assert!(!is_proved(&[], "csrf=secret").await, "a body of another kind can be sent by any page");
        assert!(!is_proved(&[("content-type", "text/plain")], "csrf=secret").await);
        assert!(!is_proved(&[("x-csrf-token", "wrong"), form], "csrf=secret").await);
        for wrong in ["", "csrf=", "csrf=secre", "csrf=secrets", "csrf=wrong&csrf=secret"] {
            assert!(!is_proved(&[form], wrong).await, "{wrong}");
        }
    }
}

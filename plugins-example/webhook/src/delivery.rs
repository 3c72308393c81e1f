//! The request, the answer, and what the queue makes of it. Knows nothing of the wire.

use std::time::SystemTime;

use pgq_plugin_sdk::prelude::*;

use crate::url::Url;

/// How much of an answer is read: enough to see what went on.
pub(crate) const MAX_BODY: usize = 4096;

/// How much of it goes into the message of a failure.
const MAX_EXCERPT: usize = 256;

/// The longest wait that a receiver can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// For all of it: connecting, sending, waiting, reading.
    pub(crate) timeout: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The header `retry-after`.
    pub(crate) retry_after: Option<String>,
    /// The first [`MAX_BODY`] bytes.
    pub(crate) body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Clone, Debug)]
pub(crate) enum SendError {
    /// The host does not let the plugin talk to this origin.
    Denied,
    /// The request cannot be sent, today or tomorrow.
    Invalid(String),
    /// The network, or the receiver, is in trouble.
    Failed(String),
}

/// What the host keeps of a delivery.
#[derive(Serialize)]
struct Delivered {
    status: u16,
    body: String,
}

/// Done, another try, or the end.
pub(crate) fn judge(origin: &str, answer: Result<Answer, SendError>) -> Result<Outcome> {
    let answer = answer.map_err(|error| undelivered(origin, error))?;
    let seen = answer.body.len().min(MAX_BODY);
    let body = String::from_utf8_lossy(&answer.body[..seen]);
    log::info!(origin = origin, status = answer.status, "answered");

    let excerpt: String = body.chars().take(MAX_EXCERPT).collect();
    let message = format!("{origin} answered {}: {excerpt}", answer.status);
    match answer.status {
        200..=299 => Outcome::json(&Delivered { status: answer.status, body: body.into_owned() }),
        // 408 and 425 are 4xx in name only: both ask for the same request once more.
        408 | 425 | 429 | 500..=599 => {
            let failure = Failure::retry(message);
            let delay = answer.retry_after.as_deref().and_then(delay);
            Err(match delay {
                Some(delay) => failure.after(delay),
                None => failure,
            })
        }
        300..=399 => {
            Err(Failure::reject(format!("{message} (redirects are not followed: use the address it leads to)")))
        }
        _ => Err(Failure::reject(message)),
    }
}

fn undelivered(origin: &str, error: SendError) -> Failure {
    match error {
        SendError::Denied => Failure::reject(format!(
            "the host does not let this plugin send requests to {origin}; to grant it, add to pgq-host.toml: \
             [plugins.{}] http = [\"{origin}\"]",
            env!("CARGO_PKG_NAME")
        )),
        SendError::Invalid(reason) => Failure::reject(format!("the request to {origin} is invalid: {reason}")),
        SendError::Failed(reason) => Failure::retry(format!("the request to {origin} failed: {reason}")),
    }
}

/// What `retry-after` says: seconds, or a date.
fn delay(retry_after: &str) -> Option<Duration> {
    let delay = match retry_after.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            httpdate::parse_http_date(retry_after.trim()).ok()?.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "https://example.com";

    fn answered(status: u16, retry_after: Option<&str>) -> Result<Outcome> {
        judge(ORIGIN, Ok(Answer { status, retry_after: retry_after.map(str::to_owned), body: b"why".to_vec() }))
    }

    #[test]
    fn any_2xx_is_a_delivery() {
        for status in [200, 201, 204, 299] {
            let output = format!(r#"{{"status":{status},"body":"why"}}"#);
            assert_eq!(answered(status, None), Ok(Outcome::output(output)));
        }
    }

    #[test]
    fn trouble_that_may_pass_is_a_retry() {
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let message = format!("https://example.com answered {status}: why");
            assert_eq!(answered(status, None), Err(Failure::retry(message)));
        }
    }

    #[test]
    fn a_no_is_a_no() {
        for status in [301, 308, 400, 401, 403, 404, 410, 422] {
            assert!(answered(status, None).unwrap_err().is_final(), "{status}");
        }
    }

    #[test]
    fn retry_after_is_honoured_within_reason() {
        let after = |text: &str| match answered(429, Some(text)) {
            Err(Failure::Retry { after, .. }) => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(after("soon"), None);
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));

        let date = SystemTime::now() + Duration::from_secs(100);
        let wait = after(&httpdate::fmt_http_date(date)).unwrap();
        assert!((98..=100).contains(&wait.as_secs()), "{wait:?}");
    }

    #[test]
    fn a_request_not_granted_is_final_and_says_how_to_grant_it() {
        let failure = judge(ORIGIN, Err(SendError::Denied)).unwrap_err();
        assert!(failure.is_final());
        assert!(failure.message().ends_with(r#"[plugins.webhook] http = ["https://example.com"]"#));
    }

    #[test]
    fn a_broken_connection_is_a_retry_and_a_broken_request_is_not() {
        let failed = judge(ORIGIN, Err(SendError::Failed("refused".into()))).unwrap_err();
        assert!(!failed.is_final());
        let invalid = judge(ORIGIN, Err(SendError::Invalid("header".into()))).unwrap_err();
        assert!(invalid.is_final());
    }
}

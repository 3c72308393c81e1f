//! Sends JSON to a URL, and knows which answers are worth another try.

mod delivery;
mod http;
mod url;

use std::collections::BTreeMap;

use pgq_plugin_sdk::prelude::*;
use serde_json::value::RawValue;

use crate::delivery::{Answer, Call, SendError};
use crate::url::Url;

/// Kept back from the job's time, so that a slow server ends in a failure that says so rather than in
/// an interrupt.
const RESERVE: Duration = Duration::from_secs(1);

/// The payload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    url: Url,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Passed on byte by byte: no number is rounded, no key moved.
    #[serde(default)]
    body: Option<Box<RawValue>>,
}

fn post() -> String {
    "POST".to_owned()
}

/// The plugin, with whatever sends its requests: `wasi:http`, or a test.
fn plugin_that(send: impl Fn(&Call) -> Result<Answer, SendError> + 'static) -> Plugin {
    let webhook = move |job: &Job, Json(webhook): Json<Webhook>| -> Result<Outcome> {
        let origin = webhook.url.origin();
        let call = call(job, webhook);
        let answer = send(&call);
        delivery::judge(&origin, answer)
    };
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).entrypoint(
        Entrypoint::new("webhook", webhook)
            // 10 s, 20 s, .. 1 h: some three hours in all, for a receiver that is down.
            .max_attempts(12)
            .backoff(Duration::from_secs(10), 2.0, Duration::from_secs(3600))
            .timeout(Duration::from_secs(30))
            .memory(64 << 20),
    )
}

/// The request that a job stands for.
fn call(job: &Job, webhook: Webhook) -> Call {
    let mut headers = vec![
        // The same for every attempt: a receiver that remembers it acts once.
        ("idempotency-key", job.idempotency_key()),
        ("user-agent", concat!("pgq-host-webhook/", env!("CARGO_PKG_VERSION")).to_owned()),
    ];
    if webhook.body.is_some() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    headers.retain(|(ours, _)| !webhook.headers.keys().any(|name| name.eq_ignore_ascii_case(ours)));

    Call {
        method: webhook.method.to_ascii_uppercase(),
        url: webhook.url,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(webhook.headers).collect(),
        body: webhook.body.map(|json| json.get().as_bytes().to_vec()).unwrap_or_default(),
        timeout: job.time_left().saturating_sub(RESERVE),
    }
}

fn plugin() -> Plugin {
    plugin_that(http::send)
}

pgq_plugin_sdk::export!(plugin);

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use pgq_plugin_sdk::testing::{TestJob, TestRun};

    use super::*;

    /// Run one job against a receiver that gives this answer; return what it was sent.
    fn deliver(job: TestJob, answer: Result<Answer, SendError>) -> (Call, Result<Outcome>) {
        let sent = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&sent);
        let plugin = plugin_that(move |call| {
            seen.replace(Some(call.clone()));
            answer.clone()
        });
        let result = TestRun::of(&plugin, job).result;
        (sent.take().expect("a request was sent"), result)
    }

    /// 2026-01-01T00:00:00Z.
    fn enqueued() -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn job(payload: serde_json::Value) -> TestJob {
        TestJob::new("webhook").id(42).json(&payload)
    }

    fn ok() -> Result<Answer, SendError> {
        Ok(Answer { status: 200, retry_after: None, body: b"thanks".to_vec() })
    }

    fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
        let mut found = call.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "`{name}` was sent twice");
        value
    }

    #[test]
    fn posts_the_body_as_it_is() {
        let payload = r#"{"url": "https://example.com/hook?a=1", "body": {"z": 1.10, "a": [9007199254740993]}}"#;
        let (call, result) = deliver(TestJob::new("webhook").id(42).created(enqueued()).payload(payload), ok());

        assert_eq!(result, Ok(Outcome::output(r#"{"status":200,"body":"thanks"}"#)));
        assert_eq!(call.method, "POST");
        assert_eq!(call.url.origin(), "https://example.com");
        assert_eq!(call.url.path_with_query, "/hook?a=1");
        assert_eq!(call.body, br#"{"z": 1.10, "a": [9007199254740993]}"#);
        assert_eq!(header(&call, "content-type"), Some("application/json"));
        assert_eq!(header(&call, "idempotency-key"), Some("pgq-42-1767225600000"));
    }

    #[test]
    fn the_producers_key_goes_before_the_ids() {
        let job = job(json!({ "url": "http://localhost:8080" })).header("idempotency-key", "order-7");
        assert_eq!(header(&deliver(job, ok()).0, "idempotency-key"), Some("order-7"));
    }

    #[test]
    fn the_payload_sets_method_and_headers() {
        let payload = json!({
            "url": "http://localhost:8080",
            "method": "get",
            "headers": { "Idempotency-Key": "mine", "x-token": "abc" },
        });
        let (call, _) = deliver(job(payload), ok());

        assert_eq!(call.method, "GET");
        assert_eq!(call.url.path_with_query, "/");
        assert!(call.body.is_empty());
        assert_eq!(header(&call, "idempotency-key"), Some("mine"));
        assert_eq!(header(&call, "x-token"), Some("abc"));
        assert_eq!(header(&call, "content-type"), None);
    }

    #[test]
    fn the_request_ends_before_the_job_does() {
        let job = job(json!({ "url": "https://example.com" })).time_left(Duration::from_secs(7));
        let (call, _) = deliver(job, ok());
        assert_eq!(call.timeout, Duration::from_secs(6));
    }

    #[test]
    fn a_server_in_trouble_gets_another_try() {
        let answer = Ok(Answer { status: 503, retry_after: Some("120".to_owned()), body: b"maintenance".to_vec() });
        let (_, result) = deliver(job(json!({ "url": "https://example.com/secret" })), answer);
        assert_eq!(
            result,
            Err(Failure::retry("https://example.com answered 503: maintenance").after(Duration::from_secs(120)))
        );
    }

    #[test]
    fn a_payload_that_is_no_webhook_is_final() {
        for payload in [
            json!({ "url": "example.com/hook" }),
            json!({ "url": "ftp://example.com" }),
            json!({ "url": "https://example.com", "bdoy": 1 }),
            json!({ "body": 1 }),
        ] {
            let run = TestRun::of(&plugin(), job(payload.clone()));
            let failure = run.result.unwrap_err();
            assert!(failure.is_final(), "{payload}: {failure:?}");
        }
    }
}

//! What SDKs of other languages do with the contract, without one: reports failures in its own
//! words, and sends requests by `http`.

wit_bindgen::generate!({ path: "../../../wit", world: "batch-plugin" });

use exports::pgq::plugin::{batch_handler, describe, handler};
use pgq::plugin::http;
use pgq::plugin::jobs::{Failure, Job, Outcome, RetryInfo};
use pgq::plugin::registry::Registrar;
use serde::Deserialize;

struct Words;

export!(Words);

/// What to say before the end, how often, and which end.
#[derive(Deserialize)]
struct Saying {
    kind: String,
    message: String,
    /// Repeated.
    traceback: (String, usize),
    #[serde(default = "once")]
    times: usize,
    end: String,
}

fn once() -> usize {
    1
}

#[derive(Deserialize)]
struct Call {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Vec<usize>,
    timeout: Option<u64>,
    /// At most so many bytes at a time.
    #[serde(default)]
    read: u32,
}

type Answer = Result<Outcome, Failure>;

impl describe::Guest for Words {
    fn register(to: &Registrar) -> Result<(), String> {
        to.declare(
            r#"{"name": "words", "version": "1.0.0", "entrypoints": [
                {"name": "say", "max-attempts": 1, "reuse": 2000},
                {"name": "say_twice", "max-attempts": 2, "backoff": {"initial-ms": 20, "multiplier": 1, "max-ms": 20}},
                {"name": "say_many", "max-attempts": 1, "batch": 10, "reuse": 100},
                {"name": "send", "reuse": 10}, {"name": "send_once", "max-attempts": 1}, {"name": "slow", "max-attempts": 1, "timeout-ms": 1500}
            ]}"#,
        );
        Ok(())
    }
}

impl handler::Guest for Words {
    fn handle(job: &Job) -> Answer {
        match job.entrypoint().as_str() {
            "send" | "send_once" | "slow" => Ok(complete(send(&parsed(job)).unwrap_or_else(|error| error))),
            _ => say(job),
        }
    }
}

impl batch_handler::Guest for Words {
    fn handle_batch(jobs: Vec<Job>) -> Vec<Answer> {
        // Each handle is dropped before the call returns.
        jobs.into_iter().map(|job| say(&job)).collect()
    }
}

fn parsed<T: for<'a> Deserialize<'a>>(job: &Job) -> T {
    serde_json::from_slice(&job.payload().unwrap_or_default()).expect("the payload is as tests write it")
}

fn complete(said: String) -> Outcome {
    Outcome::Complete(Some(said.into_bytes()))
}

fn say(job: &Job) -> Answer {
    let Saying { kind, message, traceback: (line, lines), times, end } = parsed(job);
    for _ in 0..times {
        job.failed(&kind, &message, &line.repeat(lines));
    }
    match end.as_str() {
        "complete" => Ok(complete("done".into())),
        "retry" => Err(Failure::Retry(RetryInfo { message: "of retry-info".into(), after: Some(0) })),
        "reject" => Err(Failure::Reject("of reject".into())),
        "exit" => std::process::exit(3),
        "loop" => loop {
            std::hint::spin_loop();
        },
        _ => panic!("of the panic"),
    }
}

/// The status, the target of a redirect and how many bytes came, or the error's kind and message.
fn send(call: &Call) -> Result<String, String> {
    let text = |error: http::Error| format!("{:?}: {}", error.kind(), error.message());
    let request = http::Request::new(&call.method, &call.url);
    for (name, value) in &call.headers {
        request.header(name, value);
    }
    for bytes in &call.body {
        request.body(&vec![b'x'; *bytes]);
    }
    if let Some(timeout) = call.timeout {
        request.timeout(timeout);
    }
    let response = http::send(request).map_err(text)?;
    let location = response.headers().into_iter().find(|(name, _)| name == "location");
    let mut bytes = 0;
    loop {
        match response
            .read(if call.read == 0 { 64 << 10 } else { call.read })
            .map_err(|error| format!("{bytes} {}", text(error)))?
        {
            some if some.is_empty() => break,
            some => bytes += some.len(),
        }
    }
    Ok(format!("{} {bytes} {}", response.status(), location.map_or_else(String::new, |(_, at)| at)).trim().to_owned())
}

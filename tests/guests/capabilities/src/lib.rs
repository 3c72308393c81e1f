//! Does what the payload says, and outputs the result.

use std::fs;

use pgq_plugin_sdk::prelude::*;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, IncomingResponse, Method, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

#[derive(Deserialize)]
struct Call {
    method: String,
    scheme: String,
    authority: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// Returns the status, the target of a redirect, and all headers of the response, or the error's
/// name.
fn fetch(_: &Job, Json(call): Json<Call>) -> Outcome {
    Outcome::output(match try_fetch(&call) {
        Ok(answer) => answer,
        Err(error) => error,
    })
}

fn try_fetch(call: &Call) -> std::result::Result<String, String> {
    let answer = ask(call)?;
    let location =
        answer.headers().get("location").into_iter().next().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(format!("{} {}", answer.status(), location.unwrap_or_default()).trim().to_owned())
}

fn ask(call: &Call) -> std::result::Result<IncomingResponse, String> {
    let headers = Fields::new();
    for (name, value) in &call.headers {
        headers.append(name, value.as_bytes()).map_err(|error| format!("{error:?}"))?;
    }
    let request = OutgoingRequest::new(headers);
    let method = if call.method == "GET" { Method::Get } else { Method::Other(call.method.clone()) };
    let scheme = if call.scheme == "http" { Scheme::Http } else { Scheme::Https };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(Some(&call.authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(&call.path)).map_err(|()| "path")?;
    let pending = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    pending.subscribe().block();
    pending.get().expect("ready").expect("once").map_err(|error| format!("{error:?}"))
}

/// Reads the whole response of an http origin. Returns the number of bytes, and how it ended if it
/// was cut short.
fn download(_: &Job, Json(call): Json<Call>) -> Outcome {
    Outcome::output(match ask(&call) {
        Ok(answer) => read(&answer),
        Err(error) => error,
    })
}

fn read(answer: &IncomingResponse) -> String {
    let body = answer.consume().expect("the first time");
    let stream = body.stream().expect("the first time");
    let mut bytes = 0;
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(some) => bytes += some.len(),
            Err(StreamError::Closed) => return bytes.to_string(),
            Err(StreamError::LastOperationFailed(error)) => return format!("{bytes} {}", error.to_debug_string()),
        }
    }
}

/// Returns its configuration and environment.
fn told(_: &Job) -> Outcome {
    let env: Vec<(String, String)> = std::env::vars().collect();
    Outcome::output(format!("{env:?}"))
}

/// Returns what it can do with this path.
fn look(_: &Job, Text(path): Text) -> Outcome {
    let beside = format!("{path}.new");
    let done = [
        fs::read_to_string(&path).unwrap_or_else(|_| "unreadable".into()),
        fs::write(&path, "changed").map_or_else(|_| "unwritable", |()| "written").into(),
        fs::write(&beside, "made").map_or_else(|_| "unmakeable", |()| "made").into(),
        fs::rename(&path, &beside).map_or_else(|_| "unmovable", |()| "moved").into(),
        fs::remove_file(&path).map_or_else(|_| "unremovable", |()| "removed").into(),
    ];
    Outcome::output(done.join(" "))
}

/// Enqueues a job of this entrypoint, or returns why it could not.
fn pass_on(_: &Job, Text(entrypoint): Text) -> Outcome {
    Outcome::output(match Request::new(entrypoint).submit() {
        Ok(()) => "submitted".to_owned(),
        Err(refusal) => refusal.to_string(),
    })
}

fn plugin() -> Plugin {
    Plugin::new("capabilities", "1.0.0")
        .needs_http("https://needed.example")
        .needs_config("needed-key")
        .needs_secret("needed-secret")
        .needs_env("NEEDED")
        .needs_directory("/needed")
        .needs_enqueue("needed_entrypoint")
        .entrypoint(Entrypoint::new("fetch", fetch))
        .entrypoint(Entrypoint::new("download", download))
        .entrypoint(Entrypoint::new("told", told))
        .entrypoint(Entrypoint::new("look", look))
        .entrypoint(Entrypoint::new("pass_on", pass_on))
}

pgq_plugin_sdk::export!(plugin);

//! The wire: one request over `wasi:http`, within one deadline.

use std::time::Instant;

use pgq_plugin_sdk::prelude::*;
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, HeaderError, IncomingBody, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::poll::{self, Pollable};
use wasip2::io::streams::StreamError;

use crate::delivery::{Answer, Call, MAX_BODY, SendError};
use crate::url;

/// Send the request and read the answer's first bytes.
pub(crate) fn send(call: &Call) -> Result<Answer, SendError> {
    let deadline = Deadline::in_(call.timeout);
    let request = request(call)?;
    let body = request.body().map_err(|()| invalid("body"))?;
    let answer = outgoing_handler::handle(request, Some(options(call.timeout)))?;

    write(body, &call.body, &deadline)?;
    let answer = wait_for(&answer, &deadline)?;
    let retry_after = answer.headers().get("retry-after").into_iter().next();
    Ok(Answer {
        status: answer.status(),
        retry_after: retry_after.and_then(|bytes| String::from_utf8(bytes).ok()),
        body: read(&answer, &deadline),
    })
}

fn request(call: &Call) -> Result<OutgoingRequest, SendError> {
    let headers = Fields::new();
    for (name, value) in &call.headers {
        headers.append(name, value.as_bytes()).map_err(|error| header_error(name, error))?;
    }
    // Without it the body would be sent in chunks, which not every receiver understands.
    let length = call.body.len().to_string();
    headers.set("content-length", &[length.into_bytes()]).map_err(|error| header_error("content-length", error))?;

    let scheme = match call.url.scheme {
        url::Scheme::Http => Scheme::Http,
        url::Scheme::Https => Scheme::Https,
    };
    let request = OutgoingRequest::new(headers);
    request.set_method(&method(&call.method)).map_err(|()| invalid("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| invalid("scheme"))?;
    request.set_authority(Some(&call.url.authority)).map_err(|()| invalid("host"))?;
    request.set_path_with_query(Some(&call.url.path_with_query)).map_err(|()| invalid("path"))?;
    Ok(request)
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "OPTIONS" => Method::Options,
        other => Method::Other(other.to_owned()),
    }
}

/// The host stops waiting at the same time as we do. It may not know every option: [`Deadline`] holds
/// all the same.
fn options(timeout: Duration) -> RequestOptions {
    let options = RequestOptions::new();
    let timeout = Some(nanoseconds(timeout));
    let _ = options.set_connect_timeout(timeout);
    let _ = options.set_first_byte_timeout(timeout);
    let _ = options.set_between_bytes_timeout(timeout);
    options
}

fn write(body: OutgoingBody, mut bytes: &[u8], deadline: &Deadline) -> Result<(), SendError> {
    let stream = body.write().map_err(|()| invalid("body"))?;
    while !bytes.is_empty() {
        deadline.wait(&stream.subscribe())?;
        let Ok(room) = stream.check_write() else {
            // The receiver hung up early. It may have answered: that is what counts.
            return Ok(());
        };
        let (now, later) = bytes.split_at(bytes.len().min(room as usize));
        if stream.write(now).is_err() {
            return Ok(());
        }
        bytes = later;
    }
    drop(stream);
    OutgoingBody::finish(body, None)?;
    Ok(())
}

fn wait_for(answer: &FutureIncomingResponse, deadline: &Deadline) -> Result<IncomingResponse, SendError> {
    deadline.wait(&answer.subscribe())?;
    match answer.get() {
        Some(Ok(answer)) => Ok(answer?),
        Some(Err(())) | None => Err(SendError::Failed("the host lost the answer".to_owned())),
    }
}

/// The first [`MAX_BODY`] bytes, or as many as came in time: the status is known by now.
fn read(answer: &IncomingResponse, deadline: &Deadline) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(body) = answer.consume() else {
        return bytes;
    };
    if let Ok(stream) = body.stream() {
        while bytes.len() < MAX_BODY && deadline.wait(&stream.subscribe()).is_ok() {
            match stream.read((MAX_BODY - bytes.len()) as u64) {
                Ok(more) => bytes.extend(more),
                Err(StreamError::Closed | StreamError::LastOperationFailed(_)) => break,
            }
        }
    }
    drop::<IncomingBody>(body);
    bytes
}

/// One deadline for the whole exchange.
struct Deadline {
    at: Instant,
}

impl Deadline {
    fn in_(timeout: Duration) -> Self {
        Self { at: Instant::now() + timeout }
    }

    fn wait(&self, event: &Pollable) -> Result<(), SendError> {
        // Asked first: a peer that sends a byte now and then is always ready.
        let left = self.at.saturating_duration_since(Instant::now());
        let timer = monotonic_clock::subscribe_duration(nanoseconds(left));
        if left.is_zero() || !poll::poll(&[event, &timer]).contains(&0) {
            return Err(SendError::Failed("no answer in time".to_owned()));
        }
        Ok(())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn invalid(part: &str) -> SendError {
    SendError::Invalid(format!("the host does not take this {part}"))
}

fn header_error(name: &str, error: HeaderError) -> SendError {
    let reason = match error {
        HeaderError::InvalidSyntax => "has characters that a header cannot have",
        HeaderError::Forbidden => "is the host's to set",
        HeaderError::Immutable => "cannot be set",
    };
    SendError::Invalid(format!("header `{name}` {reason}"))
}

impl From<ErrorCode> for SendError {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::Denied,
            ErrorCode::HttpRequestUriInvalid
            | ErrorCode::HttpRequestUriTooLong
            | ErrorCode::HttpRequestMethodInvalid
            | ErrorCode::HttpRequestHeaderSectionSize(_)
            | ErrorCode::HttpRequestHeaderSize(_)
            | ErrorCode::HttpRequestBodySize(_) => Self::Invalid(name(&code)),
            _ => Self::Failed(name(&code)),
        }
    }
}

/// `ConnectionRefused`, not `ErrorCode::ConnectionRefused`.
fn name(code: &ErrorCode) -> String {
    format!("{code:?}").replace("ErrorCode::", "")
}

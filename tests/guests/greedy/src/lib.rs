//! Makes the host hold as much as possible on its behalf, one kind of resource per entrypoint.

use std::cell::Cell;
use std::fs::File;
use std::mem::forget;
use std::thread_local;

use pgq_plugin_sdk::bindings::pgq::plugin::enqueue::Request as Handle;
use pgq_plugin_sdk::prelude::*;
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

const LARGE: usize = 8 << 20;
const SMALL: usize = 100 << 10;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// Payloads of requests that are never submitted.
fn payloads(_: &Job) {
    let payload = vec![7; LARGE];
    loop {
        let request = Handle::new("nobody");
        request.payload(&payload);
        forget(request);
    }
}

fn dedupe_keys(_: &Job) {
    let key = text(SMALL);
    loop {
        let request = Handle::new("nobody");
        request.dedupe_key(&key);
        forget(request);
    }
}

fn names(_: &Job) {
    let name = text(SMALL);
    loop {
        forget(Handle::new(&name));
    }
}

/// Many headers on one request.
fn headers(_: &Job) {
    let (request, value) = (Handle::new("nobody"), text(SMALL));
    for n in 0_u64.. {
        request.header(&n.to_string(), &value);
    }
}

fn fields(_: &Job) {
    let value = vec![b'x'; SMALL];
    loop {
        let fields = Fields::new();
        let _ = fields.append("x", &value);
        forget(fields);
    }
}

fn methods(_: &Job) {
    let method = Method::Other(text(SMALL));
    loop {
        let request = OutgoingRequest::new(Fields::new());
        let _ = request.set_method(&method);
        forget(request);
    }
}

fn bodies(_: &Job) {
    let chunk = vec![b'x'; 64 << 10];
    loop {
        let request = OutgoingRequest::new(Fields::new());
        let body = request.body().expect("the first time");
        let stream = body.write().expect("the first time");
        let _ = stream.check_write();
        let _ = stream.write(&chunk);
        forget((stream, body, request));
    }
}

/// Opens this file until that fails. Returns how often it succeeded, and how often again after
/// closing these.
fn open_files(_: &Job, Text(path): Text) -> Outcome {
    let open = || {
        let mut open = Vec::new();
        while let Ok(file) = File::open(&path) {
            open.push(file);
        }
        open.len()
    };
    Outcome::output(format!("{} {}", open(), open()))
}

/// The same with streams, whose descriptors are closed at once.
fn open_streams(_: &Job, Text(path): Text) -> Outcome {
    let (folder, _) = &get_directories()[0];
    let mut open = Vec::new();
    while let Ok(file) = folder.open_at(PathFlags::empty(), &path, OpenFlags::empty(), DescriptorFlags::READ) {
        match file.read_via_stream(0) {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
    }
    Outcome::output(open.len().to_string())
}

/// Reads this file.
fn read(_: &Job, Text(path): Text) -> Outcome {
    Outcome::output(match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => format!("{:?}", error.kind()),
    })
}

/// Sends this many requests to the authority at once, and waits at most three seconds for each
/// response.
fn ask_often(_: &Job, Text(authority): Text) -> Outcome {
    let pending: Vec<_> = (0..100)
        .map(|_| {
            let request = OutgoingRequest::new(Fields::new());
            request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
            request.set_authority(Some(&authority)).expect("an authority");
            request.set_path_with_query(Some("/")).expect("a path");
            outgoing_handler::handle(request, None)
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    Outcome::output(pending.iter().filter(|pending| pending.is_ok()).count().to_string())
}

/// Far too many empty lines.
fn empty_lines(_: &Job) -> Outcome {
    for _ in 0..1 << 15 {
        println!();
    }
    Outcome::output("said")
}

/// Text that looks like lines of the host's log.
fn forge(_: &Job) -> Outcome {
    log::warn!("one\n2026-01-01T00:00:00Z ERROR forged by log \u{1b}[31m");
    println!("two\r2026-01-01T00:00:00Z ERROR forged by stdout \u{1b}[2J");
    Outcome::output("said")
}

/// A message longer than any line should be.
fn long_message(_: &Job) -> Outcome {
    log::info!("{} end", text(200 << 10));
    Outcome::output("said")
}

thread_local! {
    static KEPT: Cell<Option<Handle>> = const { Cell::new(None) };
}

/// Creates a request for the instance's next job, and submits the one of the previous job.
fn keep_request(_: &Job) -> Outcome {
    let before = KEPT.take().map(|request| request.submit());
    KEPT.set(Some(Handle::new("echo")));
    Outcome::output(format!("{before:?}"))
}

/// Holds this many MiB for this many milliseconds.
fn hold(_: &Job, Json((mib, ms)): Json<(usize, u64)>) -> Outcome {
    let held = std::hint::black_box(vec![1_u8; mib << 20]);
    std::thread::sleep(Duration::from_millis(ms));
    Outcome::output(held.len().to_string())
}

fn plugin() -> Plugin {
    let greedy = |entrypoint: Entrypoint| entrypoint.memory(64 << 20).timeout(Duration::from_secs(60)).max_attempts(1);
    Plugin::new("greedy", "1.0.0")
        .entrypoint(greedy(Entrypoint::new("payloads", payloads)))
        .entrypoint(greedy(Entrypoint::new("dedupe_keys", dedupe_keys)))
        .entrypoint(greedy(Entrypoint::new("names", names)))
        .entrypoint(greedy(Entrypoint::new("headers", headers)))
        .entrypoint(greedy(Entrypoint::new("fields", fields)))
        .entrypoint(greedy(Entrypoint::new("methods", methods)))
        .entrypoint(greedy(Entrypoint::new("bodies", bodies)))
        .entrypoint(greedy(Entrypoint::new("open_files", open_files)))
        .entrypoint(greedy(Entrypoint::new("open_streams", open_streams)))
        .entrypoint(greedy(Entrypoint::new("read", read)))
        .entrypoint(greedy(Entrypoint::new("ask_often", ask_often)))
        .entrypoint(greedy(Entrypoint::new("empty_lines", empty_lines)))
        .entrypoint(greedy(Entrypoint::new("forge", forge)))
        .entrypoint(greedy(Entrypoint::new("long_message", long_message)))
        .entrypoint(greedy(Entrypoint::new("keep_request", keep_request)).reuse(10))
        .entrypoint(Entrypoint::new("hold", hold).timeout(Duration::from_secs(60)))
}

pgq_plugin_sdk::export!(plugin);

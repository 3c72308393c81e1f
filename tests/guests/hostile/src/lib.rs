//! One entrypoint for each way to misbehave, and a few well-behaved ones.

use std::hint::black_box;

use pgq_plugin_sdk::prelude::*;

/// Returns the payload as the output.
fn echo(_: &Job, Bytes(payload): Bytes) -> Outcome {
    Outcome::output(payload)
}

/// Returns everything that a handler can know about its job.
fn show(job: &Job, Text(payload): Text) -> Result<Outcome> {
    let headers: std::collections::BTreeMap<String, String> = job.headers().into_iter().collect();
    Outcome::json(
        &json!({ "payload": payload, "priority": job.priority(), "attempt": job.attempt(), "headers": headers }),
    )
}

/// Sleeps in a host call for as many milliseconds as the payload says, then returns the number of
/// the attempt.
fn nap(job: &Job, Json(ms): Json<u64>) -> Outcome {
    log::info!("napping");
    std::thread::sleep(Duration::from_millis(ms));
    Outcome::output(job.attempt().to_string())
}

/// Naps for as many milliseconds as the payload says, then leaves a trace of its own: a job that
/// nobody serves, with its id.
fn trace(job: &Job, Json(ms): Json<u64>) -> Result<Outcome> {
    std::thread::sleep(Duration::from_millis(ms));
    Request::new("traced").payload(job.id().to_string()).submit()?;
    Ok(Outcome::output(job.attempt().to_string()))
}

/// The same under a dedupe key, which somebody else may be about to take.
fn trace_once(job: &Job) -> Result<()> {
    Request::new("traced").payload(job.id().to_string()).dedupe_key("trace").submit()?;
    Ok(())
}

/// Logs the payload as a message, as a field and to stderr, then fails with it as the error.
fn says(_: &Job, Text(text): Text) -> Result<()> {
    log::info!(said = text, "{text}");
    eprintln!("{text}");
    Err(Failure::reject(text))
}

fn fail(_: &Job, Text(message): Text) -> Result<()> {
    Err(Failure::retry(message))
}

fn reject(_: &Job, Text(message): Text) -> Result<()> {
    Err(Failure::reject(message))
}

/// Snoozes once: in the second run, the job is old enough to complete.
fn snooze(job: &Job) -> Outcome {
    let age = job.created().elapsed().unwrap_or_default();
    if age < Duration::from_millis(300) {
        Outcome::snooze(Duration::from_millis(400))
    } else {
        Outcome::output(job.attempt().to_string())
    }
}

fn discard(_: &Job) -> Outcome {
    Outcome::discard("nobody wants it")
}

/// Enqueues two jobs, then does what the payload says.
fn follow_up(_: &Job, Text(then): Text) -> Result<Outcome> {
    for name in ["one", "two"] {
        Request::new("echo").payload(name).priority(3).header("from", "follow_up").submit()?;
    }
    match then.as_str() {
        "complete" => Ok(Outcome::output("both")),
        "retry" => Err(Failure::retry("asked for")),
        _ => panic!("asked for"),
    }
}

/// Enqueues itself under its own dedupe key.
fn chain(job: &Job, Json(left): Json<u32>) -> Result<()> {
    if left > 0 {
        Request::new(job.entrypoint()).json(&(left - 1))?.dedupe_key("chain").submit()?;
    }
    Ok(())
}

/// Runs until the host asks it to stop.
fn obedient(job: &Job) -> Outcome {
    while job.heartbeat() == Directive::Proceed {
        std::thread::sleep(Duration::from_millis(5));
    }
    Outcome::output(format!("{:?}", job.heartbeat()))
}

/// Returns what a guest can see: an empty environment, no file, no network.
fn probe(_: &Job) -> Outcome {
    let seen = [
        ("env", std::env::vars().count()),
        ("args", std::env::args().count()),
        ("files", usize::from(std::fs::read_dir("/").is_ok()) + usize::from(std::fs::read("/etc/passwd").is_ok())),
        ("tcp", usize::from(std::net::TcpStream::connect("127.0.0.1:5432").is_ok())),
        ("udp", usize::from(std::net::UdpSocket::bind("127.0.0.1:0").is_ok())),
    ];
    Outcome::json(&seen).unwrap_or_else(|_| Outcome::done())
}

fn panics(_: &Job) {
    panic!("on purpose");
}

/// Fails with a NUL in its message, which PostgreSQL's jsonb cannot store.
fn nul(_: &Job) -> Result<()> {
    Err(Failure::retry("before\0after"))
}

fn spin(_: &Job) {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Never computes for long: it calls the host all the time.
fn spin_in_calls(job: &Job) {
    loop {
        black_box(job.time_left());
    }
}

fn hog(_: &Job) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(black_box(vec![1; 1 << 20]));
    }
}

fn recurse(_: &Job) {
    fn deeper(n: u64) -> u64 {
        if black_box(n) == u64::MAX { 0 } else { black_box(deeper(n + 1)) + black_box([n; 16])[3] }
    }
    black_box(deeper(0));
}

fn sleep_for_ever(_: &Job) {
    std::thread::sleep(Duration::from_secs(1 << 40));
}

/// 64 MiB of lines, through all three channels.
fn log_flood(_: &Job) -> Outcome {
    let line = "x".repeat(1023);
    for _ in 0..(64 << 10) / 3 {
        log::info!("{line}");
        println!("{line}");
        eprintln!("{line}");
    }
    Outcome::output("flooded")
}

/// A line that never ends.
fn endless_line(_: &Job) -> Outcome {
    use std::io::Write as _;
    let chunk = [b'x'; 64 << 10];
    for _ in 0..256 {
        let _ = std::io::stdout().write_all(&chunk);
    }
    Outcome::output("no end")
}

fn output_flood(_: &Job) -> Outcome {
    Outcome::output(vec![7; 32 << 20])
}

fn enqueue_flood(_: &Job) -> Outcome {
    let mut accepted = 0;
    let refusal = loop {
        match Request::new("nobody").payload(vec![0; 1 << 10]).submit() {
            Ok(()) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    log::warn!("{refusal}");
    // Discarded to keep the test's queue small. What matters is that the loop ends.
    Outcome::discard(format!("{accepted}: {refusal}"))
}

/// Opens handles and never drops one. The SDK opens them late and drops them, so this uses its
/// bindings.
fn handle_leak(_: &Job) {
    loop {
        std::mem::forget(pgq_plugin_sdk::bindings::pgq::plugin::enqueue::Request::new("nobody"));
    }
}

fn exits(_: &Job) {
    std::process::exit(3);
}

fn plugin() -> Plugin {
    let quick = |entrypoint: Entrypoint| {
        entrypoint.max_attempts(2).backoff(Duration::from_millis(20), 1.0, Duration::from_millis(20))
    };
    // Far more time than they need, even on a busy machine, so that the deadline is not what ends
    // them.
    let bad =
        |entrypoint: Entrypoint| quick(entrypoint).timeout(Duration::from_secs(60)).memory(64 << 20).max_attempts(1);
    let endless = |entrypoint: Entrypoint| bad(entrypoint).timeout(Duration::from_millis(500));
    Plugin::new("hostile", "1.2.3")
        .entrypoint(Entrypoint::new("echo", echo))
        .entrypoint(Entrypoint::new("show", show))
        .entrypoint(Entrypoint::new("nap", nap).max_attempts(3).backoff(
            Duration::from_millis(20),
            1.0,
            Duration::from_millis(20),
        ))
        .entrypoint(Entrypoint::new("nap_limited", nap).concurrency(2))
        .entrypoint(Entrypoint::new("trace", trace))
        .entrypoint(Entrypoint::new("trace_once", trace_once))
        .entrypoint(quick(Entrypoint::new("says", says)))
        .entrypoint(quick(Entrypoint::new("fail", fail)))
        .entrypoint(quick(Entrypoint::new("fail_deleted", fail)).on_failure(OnFailure::Delete))
        .entrypoint(quick(Entrypoint::new("reject", reject)))
        .entrypoint(Entrypoint::new("snooze", snooze))
        .entrypoint(Entrypoint::new("discard", discard))
        .entrypoint(quick(Entrypoint::new("follow_up", follow_up)))
        .entrypoint(Entrypoint::new("chain", chain))
        .entrypoint(Entrypoint::new("obedient", obedient))
        .entrypoint(Entrypoint::new("probe", probe))
        .entrypoint(bad(Entrypoint::new("panics", panics)))
        .entrypoint(bad(Entrypoint::new("nul", nul)))
        .entrypoint(endless(Entrypoint::new("spin", spin)))
        .entrypoint(bad(Entrypoint::new("spin_long", spin)))
        .entrypoint(endless(Entrypoint::new("spin_in_calls", spin_in_calls)))
        .entrypoint(bad(Entrypoint::new("hog", hog)))
        .entrypoint(bad(Entrypoint::new("recurse", recurse)))
        .entrypoint(endless(Entrypoint::new("sleep_for_ever", sleep_for_ever)))
        .entrypoint(bad(Entrypoint::new("log_flood", log_flood)))
        .entrypoint(bad(Entrypoint::new("endless_line", endless_line)))
        .entrypoint(bad(Entrypoint::new("output_flood", output_flood)).memory(256 << 20))
        .entrypoint(bad(Entrypoint::new("enqueue_flood", enqueue_flood)))
        .entrypoint(bad(Entrypoint::new("handle_leak", handle_leak)))
        .entrypoint(bad(Entrypoint::new("exits", exits)))
}

pgq_plugin_sdk::export!(plugin);

//! Idle instances, batches, and what can go wrong with both.

use std::cell::Cell;
use std::hint::black_box;

use pgq_plugin_sdk::prelude::*;

thread_local! {
    static JOBS: Cell<u32> = const { Cell::new(0) };
}

/// The number of this job in its instance.
fn count() -> String {
    JOBS.set(JOBS.get() + 1);
    JOBS.get().to_string()
}

/// Counts, and does what the payload says.
fn counter(job: &Job, Text(then): Text) -> Result<Outcome> {
    let count = count();
    match then.as_str() {
        "panic" => panic!("asked for, as job {count}"),
        "fail" => return Err(Failure::reject(count)),
        "hog" => {
            // Denied, and survived: the guest continues with what it has.
            let mut bytes: Vec<u8> = Vec::new();
            let refused = bytes.try_reserve_exact(128 << 20).is_err();
            return Ok(Outcome::output(format!("{count} {refused}")));
        }
        "log" => (0..600).for_each(|_| log::info!("{}", "x".repeat(1023))),
        "leak" => (0..4_000)
            .for_each(|_| std::mem::forget(pgq_plugin_sdk::bindings::pgq::plugin::enqueue::Request::new("nobody"))),
        "slow" => std::thread::sleep(Duration::from_millis(100)),
        _ => {}
    }
    black_box(job.time_left());
    Ok(Outcome::output(count))
}

/// Each job's output is the number of jobs in its batch. Payloads: `fail`, `reject`, `snooze`,
/// `enqueue`, `panic`, `short`, `spin`, `wait`.
fn batch(jobs: &[Job<'_>]) -> Vec<Result<Outcome>> {
    println!("a batch");
    let payload = |job: &Job| String::from_utf8_lossy(&job.payload().unwrap_or_default()).into_owned();
    let mut results: Vec<Result<Outcome>> = Vec::new();
    for job in jobs {
        results.push(match payload(job).as_str() {
            "fail" => Err(Failure::retry("asked for")),
            "reject" => Err(Failure::reject("asked for")),
            "enqueue" => Request::new("counter").submit().map(|()| Outcome::done()).map_err(Failure::from),
            "panic" => panic!("asked for"),
            "spin" => loop {
                black_box(0);
            },
            "wait" => {
                while jobs[0].heartbeat() == Directive::Proceed {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(Outcome::output(format!("{:?}", jobs[0].heartbeat())))
            }
            _ => Ok(Outcome::output(jobs.len().to_string())),
        });
    }
    if jobs.iter().any(|job| payload(job) == "short") {
        results.pop();
    }
    results
}

fn echo(_: &Job, Bytes(payload): Bytes) -> Outcome {
    Outcome::output(payload)
}

fn noop(_: &Job, Bytes(_): Bytes) -> Outcome {
    Outcome::done()
}

fn plugin() -> Plugin {
    let quick = |entrypoint: Entrypoint| {
        entrypoint.max_attempts(2).backoff(Duration::from_millis(20), 1.0, Duration::from_millis(20)).memory(32 << 20)
    };
    Plugin::new("reuse", "1.0.0")
        .entrypoint(quick(Entrypoint::new("fresh", counter)))
        .entrypoint(quick(Entrypoint::new("counter", counter)).reuse(1_000_000))
        .entrypoint(quick(Entrypoint::new("counter3", counter)).reuse(3))
        .entrypoint(quick(Entrypoint::batch("batch", 10, batch)).timeout(Duration::from_millis(500)).max_attempts(1))
        .entrypoint(quick(Entrypoint::batch("batch_kept", 10, batch)).reuse(1_000_000).timeout(Duration::from_secs(60)))
        .entrypoint(Entrypoint::new("echo_fresh", echo))
        .entrypoint(Entrypoint::new("echo_kept", echo).reuse(1_000_000))
        .entrypoint(Entrypoint::new("noop_fresh", noop))
        .entrypoint(Entrypoint::new("noop_kept", noop).reuse(1_000_000))
        .entrypoint(Entrypoint::batch("echo_batch", 100, |jobs: &[Job<'_>]| {
            jobs.iter().map(|job| Outcome::output(job.payload().unwrap_or_default())).collect()
        }))
}

pgq_plugin_sdk::export!(plugin);

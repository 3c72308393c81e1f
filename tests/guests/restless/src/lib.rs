//! Handlers that return to the queue again and again, and one that always crashes.

use pgq_plugin_sdk::prelude::*;

fn snooze(_: &Job) -> Outcome {
    Outcome::snooze(Duration::ZERO)
}

fn retry(_: &Job) -> Result<()> {
    Err(Failure::retry("not yet").after(Duration::ZERO))
}

/// Fails as long as it is told to, then succeeds.
fn second_try(job: &Job) -> Result<()> {
    if job.attempt() == 1 { Err(Failure::retry("not yet").after(Duration::ZERO)) } else { Ok(()) }
}

fn crash(_: &Job) {
    panic!("whatever it is given");
}

fn plugin() -> Plugin {
    Plugin::new("restless", "1.0.0")
        .entrypoint(Entrypoint::new("snooze_now", snooze))
        .entrypoint(Entrypoint::new("retry_now", retry).max_attempts(1_000_000))
        .entrypoint(Entrypoint::new("second_try", second_try))
        .entrypoint(Entrypoint::new("crash", crash).max_attempts(2))
}

pgq_plugin_sdk::export!(plugin);

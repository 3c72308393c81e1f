//! Declares schedules: one that is due every second, one whose first run fails, and two that tests
//! make due.

use pgq_plugin_sdk::prelude::*;

/// Returns the tick that it is for.
fn tick(job: &Job) -> Outcome {
    Outcome::output(job.header("pgq_schedule").unwrap_or_default())
}

fn second_try(job: &Job) -> Result<Outcome> {
    if job.attempt() == 1 { Err(Failure::retry("not yet").after(Duration::ZERO)) } else { Ok(tick(job)) }
}

fn plugin() -> Plugin {
    Plugin::new("scheduled", "1.0.0")
        .entrypoint(Entrypoint::new("tick", tick).schedule("* * * * * *"))
        .entrypoint(Entrypoint::new("flaky", second_try).schedule("0 0 1 1 *"))
        .entrypoint(Entrypoint::new("report", tick).schedule("@Hourly").schedule_in("0 9 * * MON", "europe/berlin"))
}

pgq_plugin_sdk::export!(plugin);

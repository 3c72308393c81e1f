//! Tells an external receiver that its run starts, sleeps, and tells it that the run ends. The
//! oracle of the chaos run relies on these messages.

use pgq_plugin_sdk::prelude::*;

use tell::tell;

mod tell;

/// The payload: how long to sleep.
#[derive(Deserialize)]
struct Work {
    ms: u64,
}

fn work(job: &Job, Json(work): Json<Work>) -> Result<()> {
    tell("begin", job)?;
    std::thread::sleep(Duration::from_millis(work.ms));
    tell("end", job)
}

/// Has no effect but its outcome: it sleeps, and leaves a job that nobody serves, with its id.
fn sealed(job: &Job, Json(work): Json<Work>) -> Result<()> {
    std::thread::sleep(Duration::from_millis(work.ms));
    Request::new("sealed_effect").payload(job.id().to_string()).submit()?;
    Ok(())
}

fn plugin() -> Plugin {
    let entrypoint = |name| Entrypoint::new(name, work).max_attempts(5).timeout(Duration::from_secs(600));
    let sealed = Entrypoint::new("sealed", sealed).max_attempts(5).timeout(Duration::from_secs(600));
    Plugin::new("chaos", "1.0.0")
        .entrypoint(entrypoint("work"))
        .entrypoint(entrypoint("last").max_attempts(2))
        .entrypoint(entrypoint("limited").concurrency(2))
        .entrypoint(sealed)
}

pgq_plugin_sdk::export!(plugin);

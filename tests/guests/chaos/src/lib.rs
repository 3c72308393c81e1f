//! Tells an external receiver that its run starts, sleeps, and tells it that the run ends. The
//! oracle of the chaos run relies on these messages.

use pgq_plugin_sdk::prelude::*;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

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

/// The environment has the address of the receiver, and the name by which the driver knows the
/// host.
fn tell(what: &str, job: &Job) -> Result<()> {
    let variable = |name| std::env::var(name).map_err(|_| Failure::reject(format!("{name} is not granted")));
    let request = OutgoingRequest::new(Fields::new());
    let path = format!("/{what}/{}/{}/{}", job.id(), job.attempt(), variable("HOST")?);
    let set = [
        request.set_method(&Method::Get),
        request.set_scheme(Some(&Scheme::Http)),
        request.set_path_with_query(Some(&path)),
    ];
    if set.iter().any(std::result::Result::is_err) || request.set_authority(Some(&variable("RECEIVER")?)).is_err() {
        return Err(Failure::reject("a request that cannot be"));
    }
    let pending = outgoing_handler::handle(request, None).map_err(|error| Failure::retry(format!("{error:?}")))?;
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(answer))) if answer.status() == 200 => Ok(()),
        _ => Err(Failure::retry("the receiver did not answer")),
    }
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

//! A message to the receiver of the chaos run.

use pgq_plugin_sdk::prelude::*;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingRequest, Scheme};

/// The environment has the address of the receiver, and the name by which the driver knows the
/// host.
pub(crate) fn tell(what: &str, job: &Job) -> Result<()> {
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

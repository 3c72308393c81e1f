//! Declares that it takes batches, but does not export the handler for them. Written without the
//! SDK, which always exports it.

use exports::pgq::plugin::{describe, handler};
use pgq::plugin::jobs::{Failure, Job, Outcome};
use pgq::plugin::registry::Registrar;

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

struct Plugin;

impl describe::Guest for Plugin {
    fn register(registrar: &Registrar) -> Result<(), String> {
        registrar.entrypoint("lies").batch(10);
        Ok(())
    }
}

impl handler::Guest for Plugin {
    fn handle(_: &Job) -> Result<Outcome, Failure> {
        Ok(Outcome::Complete(None))
    }
}

export!(Plugin);

//! The version before `bad`: its handler works.

use pgq_plugin_sdk::prelude::*;

fn work(_: &Job) {}

fn plugin() -> Plugin {
    Plugin::new("job", "1.0.0").entrypoint(Entrypoint::new("work", work).backoff(
        Duration::from_millis(20),
        1.0,
        Duration::from_millis(20),
    ))
}

pgq_plugin_sdk::export!(plugin);

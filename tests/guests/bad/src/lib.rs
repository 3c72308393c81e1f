//! The version after `good`: its handler panics.

use pgq_plugin_sdk::prelude::*;

fn work(_: &Job) {
    panic!("a bad deploy");
}

fn plugin() -> Plugin {
    Plugin::new("job", "2.0.0").entrypoint(Entrypoint::new("work", work).backoff(
        Duration::from_millis(20),
        1.0,
        Duration::from_millis(20),
    ))
}

pgq_plugin_sdk::export!(plugin);

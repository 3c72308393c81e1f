//! Makes several invalid declarations at once.

use pgq_plugin_sdk::prelude::*;

fn nothing(_: &Job) {}

fn plugin() -> Plugin {
    Plugin::new("Not A Name", "1")
        .entrypoint(Entrypoint::new("twice", nothing).max_attempts(0))
        .entrypoint(Entrypoint::new("twice", nothing).memory(1 << 50))
        .entrypoint(Entrypoint::new("late", nothing).timeout(Duration::ZERO).schedule("whenever"))
        .needs_http("example.com")
}

pgq_plugin_sdk::export!(plugin);

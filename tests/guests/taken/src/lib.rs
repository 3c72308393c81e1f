//! Well-behaved, but claims an entrypoint of `hostile`.

use pgq_plugin_sdk::prelude::*;

fn nothing(_: &Job) {}

fn plugin() -> Plugin {
    Plugin::new("taken", "1.0.0").entrypoint(Entrypoint::new("echo", nothing))
}

pgq_plugin_sdk::export!(plugin);

//! Panics while it describes itself.

use pgq_plugin_sdk::prelude::*;

fn plugin() -> Plugin {
    panic!("cannot say what I am")
}

pgq_plugin_sdk::export!(plugin);

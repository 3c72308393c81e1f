//! Panics in `describe`.

use pgq_plugin_sdk::prelude::*;

fn plugin() -> Plugin {
    // The NUL is for PostgreSQL, which cannot store one in text.
    panic!("cannot say what I am\0")
}

pgq_plugin_sdk::export!(plugin);

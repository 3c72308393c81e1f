//! Panics while it describes itself.

use pgq_plugin_sdk::prelude::*;

fn plugin() -> Plugin {
    // The NUL is for PostgreSQL, whose text has no place for it.
    panic!("cannot say what I am\0")
}

pgq_plugin_sdk::export!(plugin);

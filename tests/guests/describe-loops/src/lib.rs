//! Never returns from `describe`.

use pgq_plugin_sdk::prelude::*;

fn plugin() -> Plugin {
    loop {
        std::hint::black_box(());
    }
}

pgq_plugin_sdk::export!(plugin);

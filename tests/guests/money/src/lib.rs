//! Moves money between two accounts, and has no way out but the database.

use pgq_plugin_sdk::prelude::*;

mod transfer;

fn plugin() -> Plugin {
    Plugin::new("money", "1.0.0")
        .needs_sql("moves money between accounts")
        .entrypoint(Entrypoint::new("pay", transfer::transfer).max_attempts(50).timeout(Duration::from_secs(60)))
}

pgq_plugin_sdk::export!(plugin);

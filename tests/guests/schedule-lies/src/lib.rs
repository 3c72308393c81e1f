//! Declares invalid schedules.

use pgq_plugin_sdk::prelude::*;

fn nothing(_: &Job) {}

fn plugin() -> Plugin {
    Plugin::new("schedule-lies", "1.0.0").entrypoint(
        Entrypoint::new("never", nothing)
            .schedule("0 0 31 2 *")
            .schedule("61 * * * *")
            .schedule("@daily")
            .schedule("0 0 * * *")
            .schedule_in("0 9 * * *", "Europe/Atlantis"),
    )
}

pgq_plugin_sdk::export!(plugin);

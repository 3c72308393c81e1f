//! Declares more schedules than a plugin may have by default: fifty of them are due every second.

use pgq_plugin_sdk::prelude::*;

fn tick(_: &Job) {}

fn plugin() -> Plugin {
    (0..50).fold(Plugin::new("timetable", "1.0.0"), |plugin, number| {
        plugin.entrypoint(Entrypoint::new(format!("tick{number}"), tick).schedule("* * * * * *"))
    })
}

pgq_plugin_sdk::export!(plugin);

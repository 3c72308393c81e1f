//! The one test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod capabilities;
mod connecting;
mod cron;
mod dev;
mod embedded;
mod examples;
mod fleet;
mod grants;
mod hostile;
mod interop;
mod isolation;
mod loading;
mod neighbours;
mod outcomes;
mod plans;
mod plugin_commands;
mod producers;
mod reload;
mod reuse;
mod schedules;
mod schema;
mod scripts;
mod stopping;
mod tidy;
mod verbs;

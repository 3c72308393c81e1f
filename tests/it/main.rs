//! The one test binary.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on ends, and some say what they measured")]

mod bench;
mod budgets;
mod capabilities;
mod chaos;
mod connecting;
mod cron;
mod dev;
mod doctor;
mod embedded;
mod environment;
mod examples;
mod fleet;
mod grants;
mod health;
mod held_back;
mod hostile;
mod interop;
mod isolation;
mod loading;
mod logging;
mod logging_docs;
mod metrics;
mod neighbours;
mod outages;
mod outcomes;
mod panics;
mod plans;
mod plugin_commands;
mod pooling;
mod presence;
mod producers;
mod reload;
mod reuse;
mod rolling;
mod rows;
mod schedules;
mod schema;
mod scripts;
mod soak;
mod stopping;
mod suspects;
mod tidy;
mod verbs;

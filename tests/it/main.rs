//! The one test binary.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on ends, and some say what they measured"
)]

mod api;
mod bench;
mod bodies;
mod budgets;
mod bulk;
mod capabilities;
mod causes;
mod chaos;
mod connecting;
mod cron;
mod dev;
mod docs;
mod doctor;
mod embedded;
mod encodings;
mod environment;
mod examples;
mod faults;
mod fleet;
mod folder;
mod golden;
mod grants;
mod handlers;
mod health;
mod held_back;
mod history;
mod hostile;
mod interop;
mod isolation;
mod jobs;
mod languages;
mod layers;
mod loading;
mod locked;
mod logging;
mod logging_docs;
mod looks;
mod metrics;
mod neighbours;
mod network;
mod outages;
mod outcomes;
mod page;
mod panics;
mod pauses;
mod plans;
mod plugin_commands;
mod pooling;
mod presence;
mod printed;
mod producers;
mod publications;
mod quarantine;
mod quick_code;
mod recipes;
mod refusals;
mod reload;
mod requests;
mod retention;
mod reuse;
mod rolling;
mod rows;
mod schedule_changes;
mod schedules;
mod schema;
mod scripts;
mod sessions;
mod soak;
mod statements;
mod stopping;
mod supervision;
mod suspects;
mod tidy;
mod usage;
mod verbs;
mod verdicts;
mod versions;
mod web;
mod web_server;
mod words;

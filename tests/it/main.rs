//! The one test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod cron;
mod dev;
mod embedded;
mod examples;
mod fleet;
mod hostile;
mod interop;
mod loading;
mod outcomes;
mod plans;
mod schedules;
mod schema;
mod stopping;
mod tidy;

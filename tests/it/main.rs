//! The one test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod dev;
mod embedded;
mod examples;
mod fleet;
mod hostile;
mod interop;
mod loading;
mod outcomes;
mod plans;
mod producers;
mod schema;
mod stopping;
mod tidy;

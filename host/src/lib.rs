//! pgq-host: background jobs from PostgreSQL, each run as a sandboxed WebAssembly component.
//!
//! The crate is a library with a thin binary on top. ARCHITECTURE.md has the map and the
//! invariants.

mod access;
pub mod allocator;
pub mod announce;
pub mod app;
pub mod capacity;
pub mod cargo;
pub mod causes;
pub mod child;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod executor;
pub mod idle;
pub mod install;
pub mod lease;
pub mod location;
pub mod lock_file;
pub mod locked_batch;
pub mod logging;
pub mod maintenance;
pub mod meter;
pub mod mirror;
pub mod pauses;
pub mod plugins;
pub mod provenance;
pub mod readiness;
pub mod recipe;
pub mod recorder;
pub mod reload;
pub mod retention;
pub mod retry_policy;
pub mod scaffold;
pub mod schedules;
pub mod sealing;
pub mod seats;
pub mod settler;
pub mod signal;
pub mod source;
pub mod telemetry;
pub mod version;
pub mod watchdog;
pub mod worker;

//! pgq-host: background jobs from PostgreSQL, each run as a sandboxed WebAssembly component.
//!
//! The crate is a library beneath a thin binary. ARCHITECTURE.md has the map and the invariants.

pub mod allocator;
pub mod announce;
pub mod app;
pub mod bench;
pub mod boot_clock;
pub mod byte_budget;
pub mod capacity;
pub mod cargo;
pub mod cli;
pub mod config;
pub mod cron;
pub mod descriptors;
pub mod digest;
pub mod doctor;
pub mod embedded;
pub mod environment;
pub mod executor;
pub mod guests;
pub mod host_memory;
pub mod job;
pub mod judgement;
pub mod lease;
pub mod logging;
pub mod maintenance;
pub mod meter;
pub mod names;
pub mod plugins;
pub mod printable;
pub mod queue;
pub mod readiness;
pub mod recorder;
pub mod reload;
pub mod retry_policy;
pub mod scaffold;
pub mod schedules;
pub mod schema;
pub mod signal;
pub mod telemetry;
pub mod told;
mod unreachable;
pub mod version;
pub mod wasm;
pub mod watchdog;
pub mod worker;

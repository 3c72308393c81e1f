//! What is asked of a bench.

use std::ffi::OsString;
use std::path::PathBuf;

/// How much, and of what.
#[derive(Debug)]
pub struct Settings {
    /// Of this very binary.
    pub binary: PathBuf,
    /// Each scenario is measured so many times, in turns.
    pub rounds: usize,
    /// In one measurement.
    pub jobs: i64,
    /// Processes; the scenario's own number where it is not said.
    pub hosts: Option<usize>,
    /// Jobs a second, where they come at a rate.
    pub rate: u32,
    /// Rows or entrypoints that a scenario is about; its own number where it is not said.
    pub size: Option<u64>,
    /// Of every job.
    pub payload: Vec<u8>,
    /// What runs them.
    pub handler: Handler,
    /// More arguments for `run`.
    pub arguments: Vec<OsString>,
}

/// What runs the jobs.
#[derive(Debug)]
pub enum Handler {
    /// The plugin that we bring.
    Ours {
        /// In instances that are kept.
        reuse: bool,
    },
    /// One of the user's.
    Yours {
        /// The folder.
        plugins: PathBuf,
        /// The entrypoint.
        entrypoint: String,
    },
}

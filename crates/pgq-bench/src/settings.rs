//! The settings of a bench.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to measure, and how much.
#[derive(Debug)]
pub struct Settings {
    /// The path of the running binary.
    pub binary: PathBuf,
    /// How many times each scenario is measured, in turns.
    pub rounds: usize,
    /// Jobs per measurement.
    pub jobs: i64,
    /// Host processes. `None` means the scenario's own number.
    pub hosts: Option<usize>,
    /// Jobs per second, in scenarios with a rate.
    pub rate: u32,
    /// The number of rows or entrypoints. `None` means the scenario's own number.
    pub size: Option<u64>,
    /// The payload of every job.
    pub payload: Vec<u8>,
    /// What runs the jobs.
    pub handler: Handler,
    /// Further arguments for `run`.
    pub arguments: Vec<OsString>,
}

/// What runs the jobs.
#[derive(Debug)]
pub enum Handler {
    /// The built-in plugin.
    BuiltIn {
        /// Whether instances are reused.
        reuse: bool,
    },
    /// A plugin of the user's.
    User {
        /// The folder of the plugin.
        plugins: PathBuf,
        /// The entrypoint to enqueue jobs for.
        entrypoint: String,
    },
}

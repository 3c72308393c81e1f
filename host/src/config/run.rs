//! `[run]`: defaults for the flags of `run`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::locations::Locations;
use crate::plugins::ClaimMode;
use crate::readiness::Requirement;

/// The same names as the flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunSection {
    /// Where plugins are: a folder or a reference, or several.
    #[serde(default)]
    pub plugins: Locations,
    /// How often registries are asked, in seconds.
    pub registry_interval: Option<f64>,
    /// Registries that may be asked over plain HTTP.
    #[serde(default)]
    pub insecure_registries: Vec<String>,
    /// The folder of compiled code.
    pub cache_dir: Option<PathBuf>,
    pub batch_size: Option<usize>,
    /// How jobs are claimed, where a plugin's section does not say.
    pub claim: Option<ClaimMode>,
    /// The most jobs that run at once.
    pub max_concurrent_tasks: Option<usize>,
    /// The most bytes for all running guests together.
    pub max_guest_memory: Option<u64>,
    /// The most bytes of payloads and headers of claimed jobs.
    pub max_claimed_bytes: Option<u64>,
    /// The most sessions of the database that handlers have at once.
    pub sql_sessions: Option<usize>,
    /// In seconds.
    pub dequeue_timeout: Option<f64>,
    /// In seconds.
    pub heartbeat_timeout: Option<f64>,
    /// In seconds.
    pub drain_timeout: Option<f64>,
    /// In seconds.
    pub log_aggregation_interval: Option<f64>,
    /// The address for health checks and metrics.
    pub listen: Option<SocketAddr>,
    /// Stop when the listener's connection is lost.
    pub shutdown_on_listener_failure: Option<bool>,
    /// What a host must have to be ready.
    #[serde(default)]
    pub require: Vec<Requirement>,
}

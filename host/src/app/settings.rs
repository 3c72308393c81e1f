//! All that a worker needs to know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::access::Entry;
use crate::mirror::MirrorSettings;
use crate::plugins::{BreakerRule, Folder, Reread};
use crate::readiness::Requirement;
use crate::sealing::Keyring;
use crate::worker;
use pgq_queue::names::Names;
use pgq_queue::{Database, Retention};
use pgq_trace::{Keep, TraceSettings};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the database is.
    pub database: Database,
    /// What its objects are called.
    pub names: Names,
    pub folder: Folder,
    /// What keeps some of its folders in step with registries.
    pub mirror: Option<MirrorSettings>,
    /// How to read again what they may do.
    pub reread: Reread,
    /// When an entrypoint whose runs crash is paused.
    pub breaker: BreakerRule,
    /// How long rows are kept that jobs leave behind.
    pub retention: Retention,
    /// Where compiled code is kept; `None` keeps none.
    pub cache: Option<PathBuf>,
    /// Jobs that run at a time.
    pub max_concurrent_tasks: usize,
    /// Bytes of payloads and headers that claimed jobs may hold.
    pub max_claimed_bytes: u64,
    /// Sessions of the database that handlers may have at a time.
    pub sql_sessions: usize,
    /// Bytes that all running guests may have together.
    pub max_guest_memory: usize,
    /// A job whose worker was silent for so long is taken from it.
    pub heartbeat_timeout: Duration,
    /// Running jobs have so long to end at a stop.
    pub drain_timeout: Duration,
    /// The log is counted into the statistics so often; zero leaves it to others.
    pub log_aggregation_interval: Duration,
    /// What it must have to be called ready.
    pub require: Vec<Requirement>,
    /// Where to serve metrics and pages.
    pub listen: Option<SocketAddr>,
    /// Who may see and change what on the pages.
    pub entry: Entry,
    /// Where traces go, if there are to be any.
    pub traces: Option<TraceSettings>,
    /// What is kept of traces that are not sampled.
    pub keep_traces: Keep,
    /// Keys of payloads, which are read at the start.
    pub keyring: Keyring,
    pub worker: worker::Settings,
}

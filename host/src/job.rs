//! Plain data: a job, the options of its entrypoint, and how a run of it ended. Knows neither SQL nor wasm.

use std::any::Any;
use std::sync::Arc;

use chrono::{DateTime, Utc};

mod disposition;
mod headers;
mod new_job;
mod options;
mod verdict;

pub use disposition::{Disposition, Terminal};
pub use headers::{compact, header_texts};
pub use new_job::{MAX_DELAY, NewJob};
pub use options::{Backoff, EntrypointOptions, OnFailure};
pub use verdict::{Fault, FaultKind, ReleaseReason, Verdict};

/// The id of a row in the queue table.
pub type JobId = i64;

/// A claimed job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The row's id.
    pub id: JobId,
    /// Higher runs first.
    pub priority: i32,
    /// When it was enqueued, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was due: at once, or when the back-off was over.
    pub due: DateTime<Utc>,
    /// Shared: thousands of claimed jobs name few entrypoints.
    pub entrypoint: Arc<str>,
    /// `None` is SQL NULL.
    pub payload: Option<Vec<u8>>,
    /// The JSON text of the headers as stored: an object, `null`, or whatever a foreign producer wrote.
    pub headers: Option<String>,
    /// How many runs have failed before this one.
    pub attempts: u32,
    /// Which claim of it this is.
    pub claim: Claim,
    /// It was near a worker's death, and is to be run apart.
    pub suspicion: Option<Suspicion>,
    /// Payload and headers are still in the database, so many bytes.
    pub unread: Option<u64>,
    /// What it takes of the bytes that the host may hold, until it is dropped.
    pub share: Option<Arc<dyn Any + Send + Sync>>,
}

/// How a job is run whose worker was lost, until an outcome of it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// A few of them at once: it was held by a worker that was lost.
    Few,
    /// With nothing beginning beside it: it had begun among a few, and their worker was lost, too.
    Alone {
        /// Workers that were lost while it ran alone.
        crashes: u32,
    },
}

/// One claim of one job. The database's time of the claim tells it from any other claim of the same job, by the same worker too:
/// a write that names an old claim finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job's id.
    pub id: JobId,
    /// When the row was claimed, to the microsecond.
    pub at: DateTime<Utc>,
}

impl Job {
    /// When it was enqueued.
    pub fn created(&self) -> DateTime<Utc> {
        i64::try_from(self.created_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// Which run this is, 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempts.saturating_add(1)
    }
}

//! Plain data about jobs: what a job is, how its entrypoint runs, how a run ended, and how texts and
//! numbers of it are shown. This crate knows neither SQL nor wasm.

use std::any::Any;
use std::sync::Arc;

use chrono::{DateTime, Utc};

pub mod judgement;
pub mod printable;
pub mod units;

mod disposition;
mod headers;
mod host_call;
mod new_job;
mod options;
mod printed;
mod signer;
mod trace_context;
mod traced;
mod verdict;
mod visible;

pub use disposition::{Disposition, Terminal};
pub use headers::{compact, header_texts};
pub use host_call::{HostCall, Reached};
pub use new_job::{MAX_DELAY, NewJob};
pub use options::{Backoff, EntrypointOptions, OnFailure};
pub use printed::{Line, Printed, Traffic};
pub use signer::Signer;
pub use trace_context::{SpanId, TraceContext, TraceId};
pub use traced::{TracedCall, TracedError, TracedJob, TracedOutcome, TracedPlugin};
pub use verdict::{Fault, FaultKind, ReleaseReason, Verdict};
pub use visible::{is_odd, visible};

/// The id of a row in the queue table.
pub type JobId = i64;

#[derive(Debug, Clone)]
pub struct Job {
    pub id: JobId,
    /// Higher priorities run first.
    pub priority: i32,
    /// When it was enqueued, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it became due: at the enqueue, or after its delay or back-off.
    pub due: DateTime<Utc>,
    /// Shared, because thousands of claimed jobs have few entrypoints.
    pub entrypoint: Arc<str>,
    /// `None` is SQL NULL.
    pub payload: Option<Vec<u8>>,
    /// The headers as stored: JSON, by convention an object or `null`.
    pub headers: Option<String>,
    /// Failed runs so far.
    pub attempts: u32,
    pub claim: Claim,
    /// Set if its worker was lost, so that it runs apart from other jobs.
    pub suspicion: Option<Suspicion>,
    /// Set if payload and headers are still in the database: their size in bytes.
    pub unread: Option<u64>,
    /// Its share of the byte budget, released when it is dropped.
    pub share: Option<Arc<dyn Any + Send + Sync>>,
}

/// How a job runs after its worker was lost, until an outcome is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Together with only a few other suspects: a worker that held it was lost.
    Few,
    /// Alone, with no other run starting beside it: it ran among a few suspects, and that worker
    /// was lost, too.
    Alone {
        /// How many workers were lost while it ran alone.
        crashes: u32,
    },
}

/// One claim of one job. The time of the claim distinguishes it from other claims of the same job,
/// even by the same worker. A write that names an old claim matches no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    pub id: JobId,
    /// The column `updated`: the database's time of the claim, in microseconds.
    pub at: DateTime<Utc>,
}

impl Job {
    pub fn created(&self) -> DateTime<Utc> {
        i64::try_from(self.created_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
    }

    /// The number of this run, 1 for the first.
    pub fn attempt(&self) -> u32 {
        self.attempts.saturating_add(1)
    }
}

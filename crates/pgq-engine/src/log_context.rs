//! Which run a line of the log is about: what a guest says, and what it was refused.

use std::sync::Arc;

use pgq_job::JobId;

#[derive(Debug, Clone)]
pub(super) struct LogContext {
    pub(super) plugin: Arc<str>,
    pub(super) entrypoint: Arc<str>,
    /// The first, of a batch; 0 where there is none.
    pub(super) job: JobId,
    pub(super) batch: Option<usize>,
}

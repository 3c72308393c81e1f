//! A limit of how many jobs of an entrypoint run at once.

use std::sync::Arc;

/// An entrypoint with a limit over all workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcurrencyLimit {
    pub entrypoint: Arc<str>,
    /// Jobs that run at once.
    pub concurrency: u32,
}

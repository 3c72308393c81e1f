//! What all traces of a host share.

use super::finished::Finished;
use super::keep::Keep;
use super::queue::Queue;
use super::sampler::Sampler;

#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) sampler: Sampler,
    pub(crate) keep: Keep,
    /// Whether contexts are taken from jobs and passed on.
    pub(crate) propagates: bool,
    pub(crate) queue: Queue,
}

impl Sink {
    pub(crate) fn take(&self, finished: Finished) {
        self.queue.push(finished);
    }
}

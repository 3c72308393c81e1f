//! A follow-up job as data.

use std::time::Duration;

/// What a [`Request`](crate::Request) asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Enqueued {
    /// The entrypoint whose handler runs it.
    pub entrypoint: String,
    /// The bytes that the handler will get; `None` is stored as SQL `NULL`.
    pub payload: Option<Vec<u8>>,
    /// Jobs with a higher priority run first.
    pub priority: i32,
    /// Run no earlier than this long after the commit.
    pub delay: Duration,
    /// At most one job with this key is queued or running at a time.
    pub dedupe_key: Option<String>,
    /// Headers with text values, in the order in which they were added.
    pub headers: Vec<(String, String)>,
}

//! What a run did outside of its sandbox, as its trace tells it.

use std::borrow::Cow;
use std::time::Instant;

use super::trace_context::SpanId;

/// One call of the host by a guest that reached something outside.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCall {
    pub span: SpanId,
    pub began: Instant,
    pub ended: Instant,
    pub what: Reached,
    /// The kind of failure, if it failed: one of a few words, a status or an SQLSTATE.
    pub error: Option<Cow<'static, str>>,
}

/// What was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reached {
    /// An HTTP server.
    Server {
        method: String,
        scheme: &'static str,
        host: String,
        port: u16,
        /// Without its query.
        path: String,
        /// Whether there was a query.
        has_query: bool,
        /// Of the response, if there was one.
        status: Option<u16>,
    },
    /// The database, by this statement as the guest wrote it.
    Database {
        statement: Cow<'static, str>,
        /// The statement was longer.
        is_cut: bool,
    },
    /// The queue: a job of this entrypoint was put into the outbox.
    Queue { entrypoint: String },
}

impl Reached {
    /// The bytes of its texts.
    pub fn bytes(&self) -> usize {
        match self {
            Reached::Server { method, host, path, .. } => method.len() + host.len() + path.len(),
            Reached::Database { statement: Cow::Owned(statement), .. } => statement.len(),
            Reached::Database { .. } => 0,
            Reached::Queue { entrypoint } => entrypoint.len(),
        }
    }
}

//! The queue for assistants, by the Model Context Protocol: PgQueuer's eleven tools by name,
//! parameters and shape, and nine of ours. Nothing is changed by any of them.
//!
//! They read through an [`Operator`](pgq_queue::Operator) whose sessions are read-only. What others
//! wrote (errors, names, lines, payloads) is data in an answer, and is said to be.

mod answer;
mod arguments;
mod guide;
mod ours;
mod parameter;
mod period;
mod pgqueuers;
mod serve;
mod server;
mod tool;
mod tools;
mod wrong;

pub use serve::{ServeError, serve};
pub use server::{Server, Settings};

//! The dashboard in a terminal: what is in the queue, and the verbs that change it.
//!
//! It reads through an [`Operator`](pgq_queue::Operator), as the page does, and only what is on the
//! screen. Nothing that a payload, an error or a name contains reaches the terminal as it is.

mod app;
mod ask;
mod draw;
mod field;
mod filter_line;
mod input;
mod keys;
mod known;
mod list;
mod live;
mod looks;
mod meant;
mod page;
mod plain;
mod screen;
mod table;
mod text;
mod todo;
mod tone;

pub use ask::Snapshot;
pub use live::{Live, live};
pub use plain::plain;

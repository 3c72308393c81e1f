//! Plugins over the whole fleet: looking at their versions, and changing what hosts do with them.

pub(crate) mod act;
pub(crate) mod page;
mod report;
mod version;

//! One job.

pub(crate) mod act;
mod body;
mod facts;
pub(crate) mod page;
mod timeline;

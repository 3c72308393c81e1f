//! Many jobs: looking at them, and changing them.

pub(crate) mod apply;
pub(crate) mod change;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod verb;

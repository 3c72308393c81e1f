//! `/`: what is going on, and what is wrong.

mod charts;
mod glance;
pub(crate) mod page;
mod table;
mod tiles;
mod troubles;

pub(crate) use glance::state;

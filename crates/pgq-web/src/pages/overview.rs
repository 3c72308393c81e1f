//! `/`: what is going on, and what is wrong.

mod charts;
mod glance;
pub(crate) mod page;
mod table;
mod tiles;

pub(crate) use glance::state;

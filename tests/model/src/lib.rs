//! A model of how workers share the queue: claims, leases, outcomes, rescues. `README.md` says
//! which rule stands for which part of the host.

mod actions;
mod batch;
mod check;
mod deaths;
mod liveness;
mod locked;
mod rows;
mod rules;
mod server;
mod size;
mod state;
mod step;

pub use actions::Action;
pub use check::{FAILURES, Found, search, search_for};
pub use liveness::{Unfinished, unfinished};
pub use rules::{Fence, Losses, Relock, Rules};
pub use state::{Failure, Faults, Protocol, Size, State};

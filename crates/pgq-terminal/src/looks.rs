//! What each view shows of its answer: tables and lines, whatever they are drawn on.

pub(crate) mod failures;
pub(crate) mod hosts;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod overview;
pub(crate) mod plugins;
pub(crate) mod schedules;

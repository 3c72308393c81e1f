//! The page: HTML that the server makes, which works without script.

mod action;
mod audit;
mod back;
mod badge;
mod banner;
mod chart;
mod content;
mod desk;
mod failures;
mod fields;
mod flash;
mod frame;
mod help;
mod hosts;
mod icon;
mod job;
mod jobs;
mod json;
mod overview;
mod pauses;
mod plugins;
mod routes;
mod schedules;
mod shown;
mod units;

pub(crate) use desk::{Desk, TICK};
pub(crate) use routes::routes;

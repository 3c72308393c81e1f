//! The page: HTML that the server makes, which works without script.

mod action;
mod audit;
mod back;
mod badge;
mod banner;
mod chart;
mod content;
mod desk;
mod fields;
mod flash;
mod frame;
mod help;
mod icon;
mod job;
mod jobs;
mod json;
mod pauses;
mod routes;
mod schedules;
mod shown;
mod units;

pub(crate) use desk::{Desk, TICK};
pub(crate) use routes::routes;

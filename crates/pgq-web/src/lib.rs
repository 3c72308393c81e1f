//! The page and the API: what is in the queue, and the verbs that change it.
//!
//! Both read through an [`Operator`](pgq_queue::Operator), from keys, tallies and small counters, so
//! that looking costs the queue little. Nothing here knows of plugins' code or of a worker: what they
//! have to say is in the database, for all hosts.

mod api;
mod assets;
pub mod auth;
mod in_time;
mod job_filter;
mod live;
mod pages;
mod peer;
mod problem;
mod recent;
pub mod schedule_change;
pub mod server;
mod site;
mod visitor;

pub use site::Site;
pub use visitor::{Role, Visitor};

use axum::Router;
use axum::middleware::from_fn;

/// Everything that is served, below the site's prefix. Who may see what is decided in front of it.
pub fn router(site: Site) -> Router {
    let api = api::routes().layer(from_fn(in_time::in_time));
    Router::new().merge(api).merge(pages::routes(&site)).with_state(site)
}

//! Which page answers which path.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use super::desk::Desk;
use super::frame::frame;
use super::{audit, failures, hosts, job, jobs, overview, pauses, plugins, schedules};
use crate::assets;
use crate::in_time::in_time;
use crate::live::{self, Seats};
use crate::site::Site;

/// All pages, and what they are shown with.
pub(crate) fn routes(site: &Site) -> Router<Site> {
    let desk = Desk::new(site.clone());
    let pages = Router::new()
        .route("/", get(overview::page::overview))
        .route("/jobs", get(jobs::list::jobs))
        .route("/jobs/change", get(jobs::change::ask).post(jobs::change::change))
        .route("/jobs/go", get(job::page::go))
        .route("/jobs/{id}", get(job::page::job))
        .route("/jobs/{id}/payload", get(job::page::payload).post(job::act::edit))
        .route("/jobs/{id}/{verb}", post(job::act::act))
        .route("/failures", get(failures::failures))
        .route("/plugins", get(plugins::page::plugins))
        .route("/plugins/reset", post(plugins::act::reset))
        .route("/plugins/reload", post(plugins::act::reload))
        .route("/plugins/rollback", post(plugins::act::rollback))
        .route("/plugins/quarantine", post(plugins::act::quarantine))
        .route("/plugins/lift", post(plugins::act::lift))
        .route("/hosts", get(hosts::hosts))
        .route("/schedules", get(schedules::schedules))
        .route("/schedules/run", post(schedules::run))
        .route("/schedules/remove", post(schedules::remove))
        .route("/schedules/pause", post(schedules::pause))
        .route("/schedules/resume", post(schedules::resume))
        .route("/schedules/edit", post(schedules::edit))
        .route("/schedules/restore", post(schedules::restore))
        .route("/pauses", get(pauses::pauses).post(pauses::pause))
        .route("/pauses/resume", post(pauses::resume))
        .route("/audit", get(audit::audit))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(desk.clone(), frame))
        .route("/live", get(live::live).layer(axum::Extension(Seats::new())))
        .route("/assets/{digest}/{name}", get(assets::serve));
    pages.with_state(desk)
}

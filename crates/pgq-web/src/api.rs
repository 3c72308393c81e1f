//! The API, version 1: JSON over HTTP, and the `OpenAPI` document that describes it.

mod ask;
mod audit;
mod change;
mod jobs;
mod me;
mod overview;
mod quarantine;
mod schedules;
mod steer;

use axum::Json;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::site::Site;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(title = "pgq-host", version = "1", description = "Look at a PgQueuer queue, and change what is in it."),
    components(schemas(Problem))
)]
struct Document;

fn paths() -> OpenApiRouter<Site> {
    OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(overview::overview))
        .routes(routes!(overview::failures))
        .routes(routes!(overview::hosts))
        .routes(routes!(overview::troubles))
        .routes(routes!(overview::incidents))
        .routes(routes!(overview::plugins))
        .routes(routes!(overview::pauses, steer::pause))
        .routes(routes!(steer::resume))
        .routes(routes!(steer::reset))
        .routes(routes!(steer::roll_back))
        .routes(routes!(steer::reload))
        .routes(routes!(quarantine::quarantine))
        .routes(routes!(quarantine::lift))
        .routes(routes!(schedules::schedules))
        .routes(routes!(schedules::run))
        .routes(routes!(schedules::remove))
        .routes(routes!(schedules::pause))
        .routes(routes!(schedules::resume))
        .routes(routes!(schedules::edit))
        .routes(routes!(schedules::restore))
        .routes(routes!(audit::audit))
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(jobs::lines_of_job))
        .routes(routes!(jobs::lines))
        .routes(routes!(change::cancel))
        .routes(routes!(change::requeue))
        .routes(routes!(change::retry_now))
        .routes(routes!(change::reschedule))
        .routes(routes!(change::edit))
}

/// Everything below `/api/v1`, and the document.
pub(crate) fn routes() -> axum::Router<Site> {
    let (router, document) =
        OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1", paths()).split_for_parts();
    router.route("/api/v1/openapi.json", get(async move || Json(document)))
}

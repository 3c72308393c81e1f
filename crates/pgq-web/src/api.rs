//! The API, version 1: JSON over HTTP, and the OpenAPI document that describes it.

mod audit;
mod me;

use axum::Json;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::site::Site;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(info(title = "pgq-host", description = "Look at a PgQueuer queue, and change what is in it."))]
struct Document;

/// Everything below `/api/v1`, and the document.
pub(crate) fn routes() -> axum::Router<Site> {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .nest("/api/v1", OpenApiRouter::new().routes(routes!(me::me)).routes(routes!(audit::audit)))
        .split_for_parts();
    router.route("/api/v1/openapi.json", get(async move || Json(document)))
}

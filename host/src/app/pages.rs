//! The pages, which are there before the worker that they are about.

use std::net::SocketAddr;

use pgq_queue::Operator;
use pgq_web::Site;
use pgq_web::auth::App;
use pgq_web::server::Handler;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::tasks::Tasks;
use super::visitors;
use crate::telemetry::{self, Pages};

/// Sessions of the pages. They are none of the worker's, so that nobody who looks at the queue keeps
/// a claim waiting.
const SESSIONS: usize = 2;

/// Serve them where the settings say, if they do, and watch that they are served until `stop`.
pub(super) fn open(
    settings: &Settings,
    stop: CancellationToken,
    tasks: &mut Tasks,
) -> anyhow::Result<Option<&'static Pages>> {
    let Some(address) = settings.listen else { return Ok(None) };
    let (pages, serve) = telemetry::open(address, site(settings, address)?)?;
    // For the rest of the process: a worker that is started anew finds its pages served.
    serve.map(tokio::spawn);
    tasks.spawn("pages", async move {
        stop.run_until_cancelled(pages.ended()).await;
    });
    Ok(Some(pages))
}

/// The pages of the queue, where only those reach them who may.
fn site(settings: &Settings, address: SocketAddr) -> anyhow::Result<Option<Handler>> {
    let entry = settings.entry.clone();
    if entry.access.is_open() && !address.ip().is_loopback() {
        tracing::info!(
            %address,
            "the pages of the queue are not served here, since whoever reaches the address could change it: set a login \
             ([web] in pgq-host.toml, PGQUEUER_WEB_USER and PGQUEUER_WEB_PASSWORD), or listen on 127.0.0.1"
        );
        return Ok(None);
    }
    let operator = Operator::new(settings.database.for_pages(SESSIONS)?, settings.names.clone()).masking(entry.masks);
    let site = Site::new(operator, &entry.base_path);
    tracing::info!(
        login = !entry.access.is_open(),
        "serving the pages of the queue at http://{address}{}",
        site.link("/")
    );
    let app = App::new(pgq_web::router(site.clone()), site, entry.access, address.port());
    visitors::apart(app.handler()).map(Some)
}

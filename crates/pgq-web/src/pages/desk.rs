//! What all pages share: the site, and what was read a moment ago.

use std::sync::Arc;
use std::time::Duration;

use pgq_queue::{
    FailureFilter, Failures, Fleet, MOST_ENTRYPOINTS, MinuteTimes, Overview, OverviewFilter, PauseRow, Plugins,
    Troubles,
};

use crate::recent::{Known, Recent};
use crate::site::Site;

/// How old may be what a page shows of the whole fleet. A tick of the live stream is as long.
pub(crate) const TICK: Duration = Duration::from_secs(2);

/// Cheap to clone: each request has one.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) site: Site,
    recents: Arc<Recents>,
}

#[derive(Debug, Default)]
struct Recents {
    pauses: Recent<Vec<PauseRow>>,
    fleet: Recent<Fleet>,
    overview: Recent<Overview>,
    failures: Recent<Failures>,
    plugins: Recent<Plugins>,
    troubles: Recent<Troubles>,
    latency: Recent<Vec<MinuteTimes>>,
}

impl Desk {
    pub(crate) fn new(site: Site) -> Desk {
        Desk { site, recents: Arc::default() }
    }

    pub(crate) fn link(&self, path: &str) -> String {
        self.site.link(path)
    }

    pub(crate) async fn pauses(&self) -> Known<Vec<PauseRow>> {
        let operator = &self.site.operator;
        let read = async { if operator.knows_pauses().await? { operator.pauses().await } else { Ok(Vec::new()) } };
        self.recents.pauses.get(TICK, read).await
    }

    pub(crate) async fn fleet(&self) -> Known<Fleet> {
        self.recents.fleet.get(TICK, self.site.operator.fleet()).await
    }

    pub(crate) async fn overview(&self) -> Known<Overview> {
        let filter = OverviewFilter { limit: MOST_ENTRYPOINTS, ..OverviewFilter::default() };
        self.recents.overview.get(TICK, self.site.operator.overview(&filter)).await
    }

    /// Of one entrypoint, which the other look did not reach.
    pub(crate) async fn overview_of(&self, entrypoint: String) -> sqlx::Result<Overview> {
        let filter = OverviewFilter { entrypoint: Some(entrypoint), limit: 1, ..OverviewFilter::default() };
        self.site.operator.overview(&filter).await
    }

    /// How long runs took, by minutes.
    pub(crate) async fn latency(&self) -> Known<Vec<MinuteTimes>> {
        self.recents.latency.get(TICK, self.site.operator.latency()).await
    }

    pub(crate) async fn failures(&self) -> Known<Failures> {
        self.recents.failures.get(TICK, self.site.operator.failures(&FailureFilter::default())).await
    }

    pub(crate) async fn plugins(&self) -> Known<Plugins> {
        self.recents.plugins.get(TICK, self.site.operator.plugins()).await
    }

    pub(crate) async fn troubles(&self) -> Known<Troubles> {
        self.recents.troubles.get(TICK, self.site.operator.troubles()).await
    }

    /// Something was changed: what comes next shows it.
    pub(crate) async fn forget(&self) {
        self.recents.pauses.forget().await;
        self.recents.fleet.forget().await;
        self.recents.overview.forget().await;
        self.recents.failures.forget().await;
        self.recents.plugins.forget().await;
    }
}

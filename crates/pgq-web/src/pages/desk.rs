//! What all pages share: the site, and what was read a moment ago.

use std::sync::Arc;
use std::time::Duration;

use pgq_queue::{HostRow, PauseRow};

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
    hosts: Recent<Vec<HostRow>>,
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
        let read = async {
            if operator.knows_pauses().await? { operator.pauses().await } else { Ok(Vec::new()) }
        };
        self.recents.pauses.get(TICK, read).await
    }

    pub(crate) async fn hosts(&self) -> Known<Vec<HostRow>> {
        self.recents.hosts.get(TICK, self.site.operator.hosts_if_any()).await
    }

    /// Something was changed: what comes next shows it.
    pub(crate) async fn forget(&self) {
        self.recents.pauses.forget().await;
        self.recents.hosts.forget().await;
    }
}

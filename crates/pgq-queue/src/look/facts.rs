//! What is looked at to find out what is wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::failures::{FailureFilter, Failures};
use super::fleet::{Fleet, FleetHost};
use super::open_transaction::OpenTransaction;
use super::overview::{MOST_ENTRYPOINTS, Overview, OverviewFilter};
use super::plugins::{JudgementLook, PluginLook, Plugins, VersionLook};
use super::troubles::MissingHost;
use crate::timetable::ListedSchedule;
use crate::{Operator, PauseRow, StaleJob};

/// Running jobs with a silent worker that are looked at.
const MOST_SILENT: i64 = 1_000;

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: DateTime<Utc>,
    /// What is younger is no incident yet.
    pub(super) older: Duration,
    pub(super) overview: Overview,
    pub(super) fleet: Fleet,
    pub(super) missing: Vec<MissingHost>,
    pub(super) plugins: Plugins,
    pub(super) failures: Failures,
    pub(super) pauses: Vec<PauseRow>,
    pub(super) schedules: Vec<ListedSchedule>,
    pub(super) silent: Vec<StaleJob>,
    pub(super) uncounted: Option<DateTime<Utc>>,
    pub(super) transactions: Vec<OpenTransaction>,
}

impl Facts {
    /// Whether this was long enough ago.
    pub(super) fn is_old(&self, at: DateTime<Utc>) -> bool {
        (self.now - at).to_std().is_ok_and(|age| age >= self.older)
    }

    /// The hosts that are there and serve this entrypoint.
    pub(super) fn serving(&self, entrypoint: &str) -> Vec<&FleetHost> {
        self.hosts_with(entrypoint).filter(|host| !host.lost).collect()
    }

    /// All hosts that said so, lost ones as well.
    pub(super) fn hosts_with<'f>(&'f self, entrypoint: &str) -> impl Iterator<Item = &'f FleetHost> {
        let serves = move |host: &&FleetHost| {
            host.plugins.iter().any(|file| file.entrypoints.iter().any(|name| name == entrypoint))
        };
        self.fleet.hosts.iter().filter(serves)
    }

    /// What is known of the plugin that serves this entrypoint.
    pub(super) fn plugin_of(&self, entrypoint: &str) -> Option<&PluginLook> {
        self.plugins.plugins.iter().find(|plugin| plugin.entrypoints.iter().any(|name| name == entrypoint))
    }

    /// Verdicts on all versions, each with its plugin and version.
    pub(super) fn judgements(&self) -> impl Iterator<Item = (&PluginLook, &VersionLook, &JudgementLook)> {
        self.plugins.plugins.iter().flat_map(|plugin| {
            let of = move |version| move |judgement| (plugin, version, judgement);
            plugin.versions.iter().flat_map(move |version| version.judgements.iter().map(of(version)))
        })
    }
}

impl Operator {
    /// Everything that is looked at, one thing after another: each look has bounds of its own.
    pub(super) async fn facts(&self, older: Duration) -> sqlx::Result<Facts> {
        let overview = OverviewFilter { limit: MOST_ENTRYPOINTS, ..OverviewFilter::default() };
        let fleet = self.fleet().await?;
        Ok(Facts {
            now: Utc::now(),
            older,
            overview: self.overview(&overview).await?,
            missing: self.missing_hosts(&fleet).await?,
            fleet,
            plugins: self.plugins().await?,
            failures: self.failures(&FailureFilter::default()).await?,
            pauses: if self.knows_pauses().await? { self.pauses().await? } else { Vec::new() },
            schedules: self.schedules().await?,
            silent: self.stale(older, MOST_SILENT).await?,
            uncounted: self.uncounted_since().await?,
            transactions: self.open_transactions(older).await?,
        })
    }
}

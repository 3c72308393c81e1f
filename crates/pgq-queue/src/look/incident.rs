//! Something that is not as it should be: what, since when, why, and what mends it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::depths::Amount;
use super::failure_group::FailingVersion;
use super::plugins::VersionLook;
use pgq_job::JobId;
use pgq_job::units::rough;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IncidentKind {
    /// Jobs are due, and no host or worker serves them.
    NotServed,
    /// Jobs are due, and the circuit breaker of their entrypoint is open.
    BreakerOpen,
    /// Jobs are due, and an operator paused them.
    Paused,
    /// Jobs are due, and those that serve them do not keep up.
    Backlog,
    /// Jobs run whose worker is silent.
    SilentWorker,
    /// A host that died, or does not announce itself any more.
    LostHost,
    /// Runs fail with one cause.
    Failing,
    /// A file in a plugins folder is not what is served.
    RefusedFile,
    /// A version was taken out of service.
    RolledBack,
    /// A schedule's tick is overdue.
    LateSchedule,
    /// A transaction keeps dead rows from being removed.
    OpenTransaction,
    /// What is logged is not counted.
    StatisticsLag,
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct IncidentVersion {
    pub plugin: String,
    pub version: String,
    pub sha256: String,
    /// When a host announced it first, or when it failed first.
    pub since: Option<DateTime<Utc>>,
}

/// One incident.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Incident {
    pub kind: IncidentKind,
    /// What is wrong, in a few words.
    pub what: String,
    pub entrypoint: Option<String>,
    /// The plugin, file, host, schedule or session that it is about, where it is not an entrypoint.
    pub subject: Option<String>,
    /// Since when; `None`: nothing tells.
    pub since: Option<DateTime<Utc>>,
    /// Why, with the words of errors and operators in it.
    pub why: String,
    /// Jobs that are affected.
    pub jobs: Option<Amount>,
    /// Some of them.
    #[schema(value_type = Vec<i64>)]
    pub examples: Vec<JobId>,
    /// The version that it began with, as far as that can be told.
    pub began_with: Option<IncidentVersion>,
    /// Hosts that it is about, as machine and process.
    pub hosts: Vec<String>,
    /// Commands that show more, or mend it.
    pub next: Vec<String>,
}

impl Incident {
    pub(super) fn new(kind: IncidentKind, what: impl Into<String>, why: impl Into<String>) -> Incident {
        Incident {
            kind,
            what: what.into(),
            entrypoint: None,
            subject: None,
            since: None,
            why: why.into(),
            jobs: None,
            examples: Vec::new(),
            began_with: None,
            hosts: Vec::new(),
            next: Vec::new(),
        }
    }
}

impl Incident {
    /// In a line: what, for how long, why, and what to do first.
    pub fn told(&self, now: DateTime<Utc>) -> String {
        let long = self.since.map(|since| format!(" for {}", rough((now - since).max(TimeDelta::zero()))));
        let next = self.next.first().map(|next| format!(" Next: {next}")).unwrap_or_default();
        let why = self.why.trim_end_matches('.');
        format!("{}{}: {why}.{next}", self.what, long.unwrap_or_default())
    }
}

impl IncidentVersion {
    pub(super) fn of_failures(version: &FailingVersion) -> IncidentVersion {
        IncidentVersion {
            plugin: version.plugin.clone(),
            version: version.version.clone(),
            sha256: version.sha256.clone(),
            since: Some(version.first_seen),
        }
    }

    pub(super) fn of_look(plugin: &str, version: &VersionLook) -> IncidentVersion {
        IncidentVersion {
            plugin: plugin.to_owned(),
            version: version.version.clone(),
            sha256: version.sha256.clone(),
            since: version.first_served,
        }
    }
}

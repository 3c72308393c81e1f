//! Failures with one cause, counted: when it was seen, in which versions, and on which jobs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::cause::Cause;
use super::failure::Failure;
use crate::text::{optional_text, text};
use pgq_job::JobId;

const EXAMPLES: usize = 5;
/// Versions of a cause: the one in which it began, and the latest.
const MOST_VERSIONS: usize = 20;

/// A version of a plugin in which a cause occurred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FailingVersion {
    pub plugin: String,
    pub version: String,
    pub sha256: String,
    /// Failed runs.
    pub failures: i64,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
}

/// Failures with one cause.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FailureGroup {
    /// Names it in addresses and filters.
    pub key: String,
    #[serde(flatten)]
    pub cause: Cause,
    /// The whole message of the newest one, up to 1,000 characters.
    pub last_message: String,
    /// Failed runs. A job that is run again counts with each of its runs.
    pub failures: i64,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    /// In which versions it occurred, the first one first: it began there. None of a Python worker's.
    pub versions: Vec<FailingVersion>,
    /// Jobs that failed so, the newest first.
    #[schema(value_type = Vec<i64>)]
    pub examples: Vec<JobId>,
    /// Jobs that are held with this as their last failure, among those that were looked at.
    pub held: i64,
    #[schema(value_type = Vec<i64>)]
    pub held_examples: Vec<JobId>,
}

impl FailureGroup {
    /// Of this failure, not counted yet.
    fn new(failure: &Failure) -> FailureGroup {
        FailureGroup {
            key: failure.cause.key(),
            cause: failure.cause.clone(),
            last_message: failure.message.clone(),
            failures: 0,
            first_seen: failure.at,
            last_seen: failure.at,
            versions: Vec::new(),
            examples: Vec::new(),
            held: 0,
            held_examples: Vec::new(),
        }
    }

    /// Count a failed run.
    fn add(&mut self, failure: Failure) {
        self.failures += 1;
        self.first_seen = self.first_seen.min(failure.at);
        let is_newest = failure.at >= self.last_seen;
        if is_newest {
            (self.last_seen, self.last_message) = (failure.at, failure.message);
        }
        if !self.examples.contains(&failure.job) && (is_newest || self.examples.len() < EXAMPLES) {
            self.examples.insert(if is_newest { 0 } else { self.examples.len() }, failure.job);
            self.examples.truncate(EXAMPLES);
        }
        let Some((plugin, version, sha256)) = failure.version else { return };
        match self.versions.iter_mut().find(|known| known.sha256 == sha256) {
            Some(known) => {
                known.failures += 1;
                known.first_seen = known.first_seen.min(failure.at);
                known.last_seen = known.last_seen.max(failure.at);
            }
            None => {
                let (first_seen, last_seen) = (failure.at, failure.at);
                self.versions.push(FailingVersion { plugin, version, sha256, failures: 1, first_seen, last_seen });
                if self.versions.len() > MOST_VERSIONS {
                    // The first one began it.
                    self.versions.sort_by_key(|version| version.first_seen);
                    self.versions.remove(1);
                }
            }
        }
        self.versions.sort_by_key(|version| version.first_seen);
    }

    /// A job is held with this as its last failure.
    fn hold(&mut self, failure: &Failure) {
        self.held += 1;
        if self.failures == 0 {
            self.first_seen = self.first_seen.min(failure.at);
            self.last_seen = self.last_seen.max(failure.at);
        }
        if self.held_examples.len() < EXAMPLES {
            self.held_examples.push(failure.job);
        }
    }
}

/// As hosts have counted it.
impl FromRow<'_, PgRow> for FailureGroup {
    fn from_row(row: &PgRow) -> sqlx::Result<FailureGroup> {
        Ok(FailureGroup {
            key: text(row, "key")?,
            cause: Cause {
                entrypoint: text(row, "entrypoint")?,
                exception_type: text(row, "exception_type")?,
                message: text(row, "message")?,
                frame: optional_text(row, "frame")?,
            },
            last_message: text(row, "last_message")?,
            failures: row.try_get("failures")?,
            first_seen: row.try_get("first_seen")?,
            last_seen: row.try_get("last_seen")?,
            // No host writes anything else. What a later release writes, and this one cannot read, is left out.
            versions: serde_json::from_str(&text(row, "versions")?).unwrap_or_default(),
            examples: row.try_get("examples")?,
            held: 0,
            held_examples: Vec::new(),
        })
    }
}

/// Groups by their keys.
#[derive(Debug, Default)]
pub(crate) struct FailureGroups(pub(crate) HashMap<String, FailureGroup>);

impl FailureGroups {
    /// Of what was counted before.
    pub(crate) fn of(known: Vec<FailureGroup>) -> FailureGroups {
        FailureGroups(known.into_iter().map(|group| (group.key.clone(), group)).collect())
    }

    /// Count a failed run.
    pub(crate) fn add(&mut self, failure: Failure) {
        self.group(&failure).add(failure);
    }

    /// A job is held after this.
    pub(super) fn hold(&mut self, failure: &Failure) {
        self.group(failure).hold(failure);
    }

    fn group(&mut self, failure: &Failure) -> &mut FailureGroup {
        self.0.entry(failure.cause.key()).or_insert_with(|| FailureGroup::new(failure))
    }

    /// The group with the newest failure first.
    pub(super) fn sorted(self) -> Vec<FailureGroup> {
        let mut groups: Vec<FailureGroup> = self.0.into_values().collect();
        groups.sort_by(|one, other| other.last_seen.cmp(&one.last_seen).then(one.key.cmp(&other.key)));
        groups
    }
}

impl Failure {
    /// The key of its cause.
    pub(crate) fn key(&self) -> String {
        self.cause.key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(job: JobId, second: i64, version: &str) -> Failure {
        let message = format!("order {job} is unknown");
        Failure {
            job,
            at: DateTime::from_timestamp(second, 0).expect("a time"),
            cause: Cause::of("pay", "Reject", &message, ""),
            message,
            version: Some(("billing".into(), version.into(), version.into())),
        }
    }

    #[test]
    fn in_whatever_order_failures_come_the_first_version_and_the_newest_jobs_are_told() {
        for newest_first in [true, false] {
            let mut groups = FailureGroups::default();
            let mut all: Vec<Failure> = (0..30).map(|n| failure(n, 1_000 + n, if n < 3 { "1" } else { "2" })).collect();
            if newest_first {
                all.reverse();
            }
            all.into_iter().for_each(|failure| groups.add(failure));
            let group = groups.sorted().remove(0);
            assert_eq!((group.failures, group.first_seen.timestamp(), group.last_seen.timestamp()), (30, 1_000, 1_029));
            assert_eq!(group.last_message, "order 29 is unknown");
            assert_eq!(group.examples, [29, 28, 27, 26, 25]);
            let versions: Vec<_> = group.versions.iter().map(|one| (one.version.as_str(), one.failures)).collect();
            assert_eq!(versions, [("1", 3), ("2", 27)]);
        }
    }

    #[test]
    fn of_many_versions_the_first_and_the_latest_are_kept() {
        let mut groups = FailureGroups::default();
        (0..50).for_each(|n| groups.add(failure(n, n, &n.to_string())));
        let group = groups.sorted().remove(0);
        let versions: Vec<_> = group.versions.iter().map(|one| one.version.as_str()).collect();
        assert_eq!((versions.len(), versions[0], versions[1], versions[19]), (20, "0", "31", "49"));
    }
}

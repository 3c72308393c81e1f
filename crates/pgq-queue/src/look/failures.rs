//! Failed runs, grouped by their cause: what is broken, since when, and since which version.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use super::cause::Cause;
use super::statements;
use crate::Operator;
use crate::millis::millis;
use crate::text::{optional_text, text};
use pgq_job::JobId;

const WITHIN: Duration = Duration::from_secs(5);
/// Failed runs that are grouped, the newest.
pub const MOST_FAILURES: i64 = 2_000;
/// Held jobs that are grouped.
pub const MOST_HELD: i64 = 2_000;
const EXAMPLES: usize = 5;

/// Which failures.
#[derive(Debug, Clone, Default)]
pub struct FailureFilter {
    pub entrypoint: Option<String>,
    /// At most this old.
    pub younger: Option<Duration>,
}

/// A version of a plugin in which a cause occurred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FailingVersion {
    pub plugin: String,
    pub version: String,
    pub sha256: String,
    /// Failed runs that were looked at.
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
    /// Failed runs that were looked at. A job that is run again counts with each of its runs.
    pub failures: i64,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    /// In which versions it occurred, the first one first: it began there, unless older failures were
    /// not looked at. None of a Python worker's.
    pub versions: Vec<FailingVersion>,
    /// Jobs that failed so, the newest first.
    #[schema(value_type = Vec<i64>)]
    pub examples: Vec<JobId>,
    /// Jobs that are held with this as their last failure, among those that were looked at.
    pub held: i64,
    #[schema(value_type = Vec<i64>)]
    pub held_examples: Vec<JobId>,
}

/// Groups of the newest failures.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Failures {
    /// The group with the newest failure first.
    pub groups: Vec<FailureGroup>,
    /// Failed runs that were looked at.
    pub looked_at: i64,
    /// The oldest of them; `None`: there are none.
    pub since: Option<DateTime<Utc>>,
    /// Whether there are older ones, that were not looked at.
    pub cut: bool,
    /// Whether there are more held jobs than were looked at.
    pub held_cut: bool,
}

/// One failure.
#[derive(Debug)]
struct Failure {
    job: JobId,
    at: DateTime<Utc>,
    cause: Cause,
    message: String,
    version: Option<(String, String, String)>,
}

impl FromRow<'_, PgRow> for Failure {
    fn from_row(row: &PgRow) -> sqlx::Result<Failure> {
        let or_empty = |column| Ok::<_, sqlx::Error>(optional_text(row, column)?.unwrap_or_default());
        let message = or_empty("message")?;
        let cause =
            Cause::of(&text(row, "entrypoint")?, &or_empty("exception_type")?, &message, &or_empty("traceback")?);
        let version = optional_text(row, "plugin_sha256")?
            .map(|sha256| Ok::<_, sqlx::Error>((or_empty("plugin")?, or_empty("plugin_version")?, sha256)))
            .transpose()?;
        Ok(Failure { job: row.try_get("job_id")?, at: row.try_get("at")?, cause, message, version })
    }
}

impl Operator {
    /// The newest failures by cause, with the jobs that are held for each.
    pub async fn failures(&self, filter: &FailureFilter) -> sqlx::Result<Failures> {
        let failures = sqlx::query_as(self.sql(statements::FAILURES))
            .persistent(false)
            .bind(last_time())
            .bind(i64::MAX)
            .bind(MOST_FAILURES + 1)
            .bind(filter.entrypoint.clone())
            .bind(filter.younger.map(millis));
        let held = sqlx::query_as(self.sql(statements::HELD_FAILURES))
            .persistent(false)
            .bind(None::<String>)
            .bind(None::<i64>)
            .bind(MOST_HELD + 1)
            .bind(filter.entrypoint.clone());
        let (mut failures, mut held): (Vec<Failure>, Vec<Failure>) = self
            .read(WITHIN, |transaction| {
                Box::pin(async move {
                    let failures = failures.fetch_all(&mut *transaction).await?;
                    Ok((failures, held.fetch_all(transaction).await?))
                })
            })
            .await?;
        let cut = |found: &mut Vec<Failure>, most: i64| {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let is_cut = found.len() > most;
            found.truncate(most);
            is_cut
        };
        let (cut, held_cut) = (cut(&mut failures, MOST_FAILURES), cut(&mut held, MOST_HELD));
        let (looked_at, since) = (failures.len(), failures.iter().map(|failure| failure.at).min());
        let mut groups = grouped(failures);
        for one in held {
            let group = groups.entry(one.cause.clone()).or_insert_with(|| FailureGroup::new(&one));
            group.held += 1;
            if group.failures == 0 {
                group.first_seen = group.first_seen.min(one.at);
                group.last_seen = group.last_seen.max(one.at);
            }
            if group.held_examples.len() < EXAMPLES {
                group.held_examples.push(one.job);
            }
        }
        let mut groups: Vec<FailureGroup> = groups.into_values().collect();
        groups.sort_by(|one, other| other.last_seen.cmp(&one.last_seen).then(one.key.cmp(&other.key)));
        Ok(Failures { groups, looked_at: i64::try_from(looked_at).unwrap_or(i64::MAX), since, cut, held_cut })
    }
}

/// The last time that PostgreSQL and this program both have.
fn last_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::days(2_932_896)
}

/// The newest failure comes first.
fn grouped(failures: Vec<Failure>) -> HashMap<Cause, FailureGroup> {
    let mut groups = HashMap::<Cause, FailureGroup>::new();
    let mut versions = HashMap::<Cause, BTreeMap<String, FailingVersion>>::new();
    for failure in failures {
        let group = groups.entry(failure.cause.clone()).or_insert_with(|| FailureGroup::new(&failure));
        group.failures += 1;
        group.first_seen = group.first_seen.min(failure.at);
        group.last_seen = group.last_seen.max(failure.at);
        if group.examples.len() < EXAMPLES && !group.examples.contains(&failure.job) {
            group.examples.push(failure.job);
        }
        if let Some((plugin, version, sha256)) = failure.version {
            let of_cause = versions.entry(failure.cause).or_default();
            let version = of_cause.entry(sha256.clone()).or_insert_with(|| FailingVersion {
                plugin,
                version,
                sha256,
                failures: 0,
                first_seen: failure.at,
                last_seen: failure.at,
            });
            version.failures += 1;
            version.first_seen = version.first_seen.min(failure.at);
            version.last_seen = version.last_seen.max(failure.at);
        }
    }
    for (cause, group) in &mut groups {
        let mut of_cause: Vec<_> = versions.remove(cause).unwrap_or_default().into_values().collect();
        of_cause.sort_by_key(|version| version.first_seen);
        group.versions = of_cause;
    }
    groups
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
}

//! Failed runs, grouped by their cause: what is broken, since when, and since which version. Hosts
//! count causes (`causes`); what they have not counted yet is read from the log.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Executor as _, Row as _};

use super::failure::{BY_INDEX, Failure};
use super::failure_group::{FailureGroup, FailureGroups};
use super::statements;
use crate::Operator;
use crate::millis::millis;

const WITHIN: Duration = Duration::from_secs(5);
/// Failed runs that are grouped for a look, the newest of those that no host has counted.
pub const MOST_FAILURES: i64 = 500;
/// Held jobs that are grouped.
pub const MOST_HELD: i64 = 500;
/// Causes that are told, of those that hosts have counted.
pub const MOST_CAUSES: i64 = 500;

/// Which failures.
#[derive(Debug, Clone, Default)]
pub struct FailureFilter {
    pub entrypoint: Option<String>,
    /// At most this old. Only the newest failures are looked at then, one by one.
    pub younger: Option<Duration>,
}

/// Failures by their cause.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Failures {
    /// The group with the newest failure first.
    pub groups: Vec<FailureGroup>,
    /// Failed runs that were looked at one by one, because no host had counted them.
    pub looked_at: i64,
    /// The oldest of them; `None`: there are none.
    pub since: Option<DateTime<Utc>>,
    /// Whether there are older ones that no host counted and that were not looked at.
    pub cut: bool,
    /// Up to when hosts have counted all failures; `None`: no host counts them.
    pub counted_to: Option<DateTime<Utc>>,
    /// Whether there are more causes than are told.
    pub causes_cut: bool,
    /// Whether there are more held jobs than were looked at.
    pub held_cut: bool,
}

impl Operator {
    /// Failures by cause, with the jobs that are held for each.
    pub async fn failures(&self, filter: &FailureFilter) -> sqlx::Result<Failures> {
        let features = self.features().await?;
        // The counts are of all times.
        let is_counted = features.causes && features.retention && filter.younger.is_none();
        let (entrypoint, younger) = (filter.entrypoint.clone(), filter.younger.map(millis));
        let [to, causes, failures, held] = [
            self.sql(statements::CAUSES_TO),
            self.sql(statements::CAUSES),
            self.sql(statements::FAILURES),
            self.sql(statements::HELD_FAILURES),
        ];
        let read = self.read(WITHIN, move |transaction| {
            Box::pin(async move {
                let (mut known, mut from) = (Vec::<FailureGroup>::new(), None);
                if is_counted {
                    let row = sqlx::query(to).persistent(false).fetch_optional(&mut *transaction).await?;
                    from = row.map(|row| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?))).transpose()?;
                    let causes = sqlx::query_as(causes).persistent(false).bind(MOST_CAUSES + 1);
                    known = causes.bind(entrypoint.clone()).fetch_all(&mut *transaction).await?;
                }
                let (counted, id): (DateTime<Utc>, i64) = from.unwrap_or((first_time(), i64::MIN));
                let failures = sqlx::query_as(failures)
                    .persistent(false)
                    .bind(last_time())
                    .bind(i64::MAX)
                    .bind(MOST_FAILURES + 1)
                    .bind(entrypoint.clone())
                    .bind(younger)
                    .bind(counted)
                    .bind(id);
                transaction.execute(BY_INDEX).await?;
                let failures: Vec<Failure> = failures.fetch_all(&mut *transaction).await?;
                let held = sqlx::query_as(held)
                    .persistent(false)
                    .bind(None::<String>)
                    .bind(None::<i64>)
                    .bind(MOST_HELD + 1)
                    .bind(entrypoint);
                let held: Vec<Failure> = held.fetch_all(transaction).await?;
                Ok((known, from.map(|(counted, _)| counted), failures, held))
            })
        });
        let (mut known, counted_to, mut failures, mut held) = read.await?;
        let causes_cut = cut(&mut known, MOST_CAUSES);
        let (cut, held_cut) = (cut(&mut failures, MOST_FAILURES), cut(&mut held, MOST_HELD));
        let (looked_at, since) = (failures.len(), failures.iter().map(|failure| failure.at).min());
        let mut groups = FailureGroups::of(known);
        failures.into_iter().for_each(|failure| groups.add(failure));
        held.iter().for_each(|failure| groups.hold(failure));
        let looked_at = i64::try_from(looked_at).unwrap_or(i64::MAX);
        Ok(Failures { groups: groups.sorted(), looked_at, since, cut, counted_to, causes_cut, held_cut })
    }
}

/// Leave so many. Returns whether there were more.
fn cut<T>(found: &mut Vec<T>, most: i64) -> bool {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let is_cut = found.len() > most;
    found.truncate(most);
    is_cut
}

/// The last time that PostgreSQL and this program both have.
fn last_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + chrono::TimeDelta::days(2_932_896)
}

/// A time before all failures.
fn first_time() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH - chrono::TimeDelta::days(719_000)
}

//! What is not as it should be: what is stuck, why, since when, and which version began it. Put
//! together from looks that there are anyway.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::Facts;
use super::incident::Incident;
use super::{found_failing, found_upkeep, found_waiting};
use crate::Operator;

/// Incidents of one look.
const MOST: usize = 200;

/// What is wrong now.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Incidents {
    pub at: DateTime<Utc>,
    /// What stops jobs first; of one kind, the oldest first.
    pub incidents: Vec<Incident>,
    /// Whether there are more.
    pub cut: bool,
    /// Whether there are failures before those that were looked at: what seems to have begun with
    /// them may be older.
    pub failures_cut: bool,
}

impl Incidents {
    pub(super) fn of(facts: &Facts) -> Incidents {
        let mut incidents = found_waiting::all(facts);
        incidents.extend(found_failing::all(facts));
        incidents.extend(found_upkeep::all(facts));
        incidents.sort_by_key(|incident| (incident.kind, incident.since.unwrap_or(facts.now)));
        let cut = incidents.len() > MOST;
        incidents.truncate(MOST);
        Incidents { at: facts.now, incidents, cut, failures_cut: facts.failures.cut }
    }
}

impl Operator {
    /// What is wrong, and has been for at least so long.
    pub async fn incidents(&self, older: Duration) -> sqlx::Result<Incidents> {
        Ok(Incidents::of(&self.facts(older).await?))
    }
}

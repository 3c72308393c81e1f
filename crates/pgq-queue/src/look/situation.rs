//! What is going on and what is wrong, of one moment: for whoever looks first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::facts::Facts;
use super::failures::Failures;
use super::fleet::Fleet;
use super::incidents::Incidents;
use super::overview::Overview;
use super::troubles::Troubles;
use crate::{Operator, PauseRow};

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Situation {
    #[serde(skip)]
    pub at: DateTime<Utc>,
    pub overview: Overview,
    pub failures: Failures,
    pub hosts: Fleet,
    pub troubles: Troubles,
    pub pauses: Vec<PauseRow>,
    pub incidents: Incidents,
}

impl Operator {
    /// What goes on, and what is wrong and has been for at least so long.
    pub async fn situation(&self, older: Duration) -> sqlx::Result<Situation> {
        let facts = self.facts(older).await?;
        let incidents = Incidents::of(&facts);
        let Facts { now, overview, failures, fleet, missing, pauses, transactions, .. } = facts;
        let troubles = Troubles { transactions, hosts: missing };
        Ok(Situation { at: now, overview, failures, hosts: fleet, troubles, pauses, incidents })
    }
}

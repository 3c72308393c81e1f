//! How long runs took in the last hour. Minutes that are over are read once, and remembered.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use pgq_queue::{MinuteTimes, Operator};
use tokio::sync::Mutex;

const SHOWN: TimeDelta = TimeDelta::minutes(60);
/// An attempt bears the time at which its transaction began, and is seen a little later.
const OPEN: TimeDelta = TimeDelta::minutes(2);

/// The minutes that were read.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<BTreeMap<DateTime<Utc>, MinuteTimes>>);

impl Latency {
    /// By the beginnings of the minutes. Those without a run are missing.
    pub(crate) async fn read(&self, operator: &Operator) -> sqlx::Result<BTreeMap<DateTime<Utc>, MinuteTimes>> {
        let (now, mut known) = (Utc::now(), self.0.lock().await);
        let begin = now - SHOWN;
        let from = known.last_key_value().map_or(begin, |(last, _)| (*last - OPEN).max(begin));
        for minute in operator.minute_times(from, now).await? {
            known.insert(minute.at, minute);
        }
        known.retain(|at, _| *at > begin - TimeDelta::minutes(1));
        Ok(known.clone())
    }
}

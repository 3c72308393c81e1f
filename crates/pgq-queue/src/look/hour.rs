//! The last hour, minute by minute, as far as it was read: what was logged, and how long runs took.
//! Minutes that are over are read once, however often somebody looks.

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use super::minute_times::MinuteTimes;
use super::minutes::Counted;

/// Shared by all who look through one operator.
#[derive(Debug, Default)]
pub(crate) struct Hour {
    pub(super) counted: Mutex<Counted>,
    /// By minutes since 1970. Those without a run are missing.
    pub(super) times: Mutex<BTreeMap<i64, MinuteTimes>>,
}

//! How long runs of a minute took.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How long some runs of a minute took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MinuteTimes {
    /// Its beginning.
    pub at: DateTime<Utc>,
    /// How many runs this tells of.
    pub runs: i64,
    pub p50_us: i64,
    pub p95_us: i64,
}

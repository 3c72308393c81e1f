//! `[history]`: how much of a job's way is kept.

use serde::Deserialize;

use pgq_queue::HistoryLevel;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct HistorySection {
    pub(super) level: HistoryLevel,
}

//! `[plugins.NAME.entrypoints.NAME]`: what holds for one entrypoint.

use serde::Deserialize;

use crate::plugins::{ClaimMode, KeepLines};
use crate::sealing::Seal;
use pgq_queue::HistoryLevel;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct EntrypointSection {
    pub(super) claim: Option<ClaimMode>,
    pub(super) history: Option<HistoryLevel>,
    pub(super) logs: Option<KeepLines>,
    pub(super) require_sealed: Option<bool>,
    pub(super) seal: Option<Seal>,
}

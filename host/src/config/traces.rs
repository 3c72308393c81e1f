//! `[traces]`: what is kept of traces. Where they go and which are sampled, the `OTEL_*` variables
//! say.

use std::time::Duration;

use serde::Deserialize;

use super::units::parse_duration;
use pgq_trace::Keep;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct TracesSection {
    failed: Option<bool>,
    slow: Option<String>,
    url_paths: Option<bool>,
}

impl TracesSection {
    pub(super) fn keep(self, mistakes: &mut Vec<String>) -> Keep {
        let default = Keep::default();
        let slow = match self.slow.as_deref().map(parse_duration) {
            None => default.slow,
            Some(Ok(slow)) => slow_of(slow),
            Some(Err(mistake)) => {
                mistakes.push(format!("traces.slow: {mistake}"));
                default.slow
            }
        };
        Keep { failed: self.failed.unwrap_or(default.failed), slow, paths: self.url_paths.unwrap_or(default.paths) }
    }
}

/// Zero keeps no run for its length.
pub fn slow_of(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

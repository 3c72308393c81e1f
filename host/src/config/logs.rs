//! `[logs]`: what is kept of what runs print.

use std::time::Duration;

use serde::Deserialize;

use super::units::parse_duration;
use crate::plugins::{KeepLines, LogRule};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct LogsSection {
    pub(super) keep: KeepLines,
    max_kib: Option<usize>,
    failures_for: Option<String>,
    successes_for: Option<String>,
}

impl LogsSection {
    pub(super) fn rule(self, mistakes: &mut Vec<String>) -> LogRule {
        let default = LogRule::default();
        let mut time = |key: &str, text: Option<String>, default: Duration| {
            text.map_or(default, |text| {
                parse_duration(&text).unwrap_or_else(|mistake| {
                    mistakes.push(format!("logs.{key}: {mistake}"));
                    default
                })
            })
        };
        let failures_for = time("failures-for", self.failures_for, default.failures_for);
        let successes_for = time("successes-for", self.successes_for, default.successes_for);
        let max_bytes = match self.max_kib {
            None => default.max_bytes,
            Some(kib @ 1..=1024) => kib << 10,
            Some(kib) => {
                mistakes.push(format!(
                    "logs.max-kib is {kib}, which is not between 1 and 1024; keep = \"none\" keeps nothing"
                ));
                default.max_bytes
            }
        };
        LogRule { keep: self.keep, max_bytes, failures_for, successes_for }
    }
}

//! `canary` of a plugin: how its new versions are rolled out.

use serde::Deserialize;

use crate::plugins::Canary;

/// A share of the jobs in percent, and the number of runs after which the new version is promoted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct CanarySection {
    percent: f64,
    runs: u32,
}

impl CanarySection {
    pub(super) fn canary(&self, plugin: &str, mistakes: &mut Vec<String>) -> Canary {
        if !(self.percent > 0.0 && self.percent < 100.0) {
            mistakes
                .push(format!("plugins.{plugin}.canary.percent is {}, which is not between 0 and 100", self.percent));
        }
        if self.runs == 0 {
            mistakes.push(format!(
                "plugins.{plugin}.canary.runs is 0, which would prove nothing; leave the canary out instead"
            ));
        }
        Canary { share: self.percent / 100.0, runs: self.runs }
    }
}

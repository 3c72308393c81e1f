//! `[circuit-breaker]`: when an entrypoint that crashes is paused.

use serde::Deserialize;

use super::units::parse_duration;
use crate::plugins::BreakerRule;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct BreakerSection {
    crashes: Option<u32>,
    window: Option<u32>,
    pause: Option<String>,
}

impl BreakerSection {
    pub(super) fn rule(self, mistakes: &mut Vec<String>) -> BreakerRule {
        let default = BreakerRule::default();
        let rule = BreakerRule {
            window: self.window.unwrap_or(default.window),
            crashes: self.crashes.unwrap_or(default.crashes),
            pause: self.pause.map_or(default.pause, |text| {
                parse_duration(&text).unwrap_or_else(|mistake| {
                    mistakes.push(format!("circuit-breaker.pause: {mistake}"));
                    default.pause
                })
            }),
        };
        if !(1..=64).contains(&rule.window) {
            mistakes.push(format!("circuit-breaker.window is {}, which is not between 1 and 64 runs", rule.window));
        }
        if rule.crashes > rule.window {
            mistakes.push(format!(
                "circuit-breaker.crashes is {}, more than the window of {} runs; 0 disables the circuit breaker",
                rule.crashes, rule.window
            ));
        }
        rule
    }
}

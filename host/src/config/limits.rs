//! `[limits]`: caps on what plugins declare.

use std::time::Duration;

use serde::Deserialize;

use crate::plugins::Caps;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct LimitsSection {
    timeout: Option<String>,
    compile_timeout: Option<String>,
    memory_mib: Option<usize>,
    reuse: Option<u32>,
    max_crashes: Option<u32>,
    plugin_size_mib: Option<u64>,
}

impl LimitsSection {
    pub(super) fn caps(self, mistakes: &mut Vec<String>) -> Caps {
        let defaults = Caps::default();
        let mut time =
            |key: &str, text: Option<String>, default: Duration| match text.as_deref().map(humantime::parse_duration) {
                None => default,
                Some(Ok(time)) if !time.is_zero() => time,
                Some(_) => {
                    mistakes.push(format!(
                        "limits.{key} is {:?}, which is not a duration like \"90s\" or \"15m\"",
                        text.unwrap_or_default()
                    ));
                    default
                }
            };
        let timeout = time("timeout", self.timeout, defaults.timeout);
        let compile_timeout = time("compile-timeout", self.compile_timeout, defaults.compile_timeout);
        let memory = match self.memory_mib {
            None => defaults.memory,
            Some(mib @ 1..=4096) => mib << 20,
            Some(mib) => {
                mistakes.push(format!("limits.memory-mib is {mib}, which is not between 1 and 4096"));
                defaults.memory
            }
        };
        let plugin_size = match self.plugin_size_mib {
            None => defaults.plugin_size,
            Some(mib @ 1..=1024) => mib << 20,
            Some(mib) => {
                mistakes.push(format!("limits.plugin-size-mib is {mib}, which is not between 1 and 1024"));
                defaults.plugin_size
            }
        };
        if self.reuse == Some(0) {
            mistakes.push("limits.reuse is 0; 1 means a fresh instance for each job".into());
        }
        if self.max_crashes == Some(0) {
            mistakes.push(
                "limits.max-crashes is 0; 1 holds a job as soon as its worker is lost while the job runs alone".into(),
            );
        }
        let reuse = self.reuse.unwrap_or(defaults.reuse);
        let max_crashes = self.max_crashes.unwrap_or(defaults.max_crashes);
        Caps { timeout, memory, reuse, compile_timeout, max_crashes, plugin_size }
    }
}

//! `[sealing]`: keys of payloads, and what must be sealed.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::units::parse_duration;
use crate::sealing::{Seal, SealRules, SealingSettings, Source};

const DEFAULT_COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// A host that waits for its keys for longer does not start.
const LONGEST_COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 86_400);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct SealingSection {
    keys_file: Option<PathBuf>,
    keys_command: Option<Vec<String>>,
    keys_command_timeout: Option<String>,
    seal_with: Option<String>,
    pub(super) require_sealed: bool,
    pub(super) seal: Seal,
    wait: Option<String>,
}

impl SealingSection {
    /// What it says of keys. Keys are read when a host starts, not here: most verbs need none.
    pub(super) fn settings(self, rules: &SealRules, mistakes: &mut Vec<String>) -> SealingSettings {
        let mut time = |key: &str, text: Option<String>, default: Duration, most: Duration| {
            let Some(text) = text else { return default };
            match parse_duration(&text) {
                Ok(time) if !time.is_zero() && time <= most => return time,
                Ok(_) => {
                    mistakes.push(format!(
                        "sealing.{key} is {text:?}, which is not between 0 and {}",
                        humantime::format_duration(most)
                    ));
                }
                Err(mistake) => mistakes.push(format!("sealing.{key}: {mistake}")),
            }
            default
        };
        let timeout =
            time("keys-command-timeout", self.keys_command_timeout, DEFAULT_COMMAND_TIMEOUT, LONGEST_COMMAND_TIMEOUT);
        let wait = time("wait", self.wait, SealingSettings::default().wait, LONGEST_WAIT);
        let source = match (self.keys_file, self.keys_command) {
            (Some(_), Some(_)) => {
                mistakes.push("sealing.keys-file and sealing.keys-command exclude each other; name one".into());
                None
            }
            (None, Some(words)) if words.first().is_none_or(String::is_empty) => {
                mistakes.push("sealing.keys-command names no program; write it as a list of words, like [\"/usr/bin/vault\", \"read\", ...]".into());
                None
            }
            (Some(file), None) => Some(Source::File(file)),
            (None, Some(words)) => Some(Source::Command { words, timeout }),
            (None, None) => {
                if self.seal_with.is_some() || rules.needs_a_key() {
                    mistakes.push(
                        "sealing.keys-file is missing: without keys, nothing can be sealed or opened; name the file that `pgq-host sealing keygen` wrote, or a keys-command".into(),
                    );
                }
                None
            }
        };
        if let Some(Err(mistake)) = self.seal_with.as_deref().map(pgq_sealing::check_id) {
            mistakes.push(format!("sealing.seal-with: {mistake}"));
        }
        SealingSettings { source, seal_with: self.seal_with, wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::sealing::SealRule;

    #[test]
    fn keys_and_rules_are_read() {
        let config = Config::parse(
            r#"
            [sealing]
            keys-file = "/etc/pgq-host/sealing.jwks"
            seal-with = "2026-11"
            seal = "never"
            wait = "1h"
            [plugins.pay]
            require-sealed = true
            seal = "always"
            [plugins.pay.entrypoints.ping]
            require-sealed = false
            "#,
        )
        .expect("valid");
        let file = Source::File("/etc/pgq-host/sealing.jwks".into());
        assert_eq!(
            config.sealing,
            SealingSettings { source: Some(file), seal_with: Some("2026-11".into()), wait: Duration::from_secs(3600) }
        );
        let of = |plugin: &str, entrypoint: &str| config.seals.of(plugin, entrypoint);
        assert_eq!(of("other", "x"), SealRule { requires: false, seal: Seal::Never });
        assert_eq!(of("pay", "charge"), SealRule { requires: true, seal: Seal::Always });
        assert_eq!(of("pay", "ping"), SealRule { requires: false, seal: Seal::Always });
        let none = Config::parse("").expect("valid");
        assert_eq!((none.sealing, none.seals.of("p", "e")), Default::default());
    }

    #[test]
    fn what_cannot_work_is_a_mistake() {
        for (text, part) in [
            ("[sealing]\nkeys-file = \"a\"\nkeys-command = [\"b\"]", "exclude each other"),
            ("[sealing]\nkeys-command = []", "names no program"),
            ("[sealing]\nrequire-sealed = true", "keys-file is missing"),
            ("[plugins.p]\nseal = \"always\"", "keys-file is missing"),
            ("[plugins.p.entrypoints.e]\nrequire-sealed = true", "keys-file is missing"),
            ("[sealing]\nkeys-file = \"a\"\nseal-with = \"a b\"", "sealing.seal-with"),
            ("[sealing]\nkeys-file = \"a\"\nwait = \"ages\"", "sealing.wait"),
            ("[sealing]\nkeys-command = [\"a\"]\nkeys-command-timeout = \"1h\"", "sealing.keys-command-timeout"),
            ("[sealing]\nkey = \"x\"", "key"),
        ] {
            let error = format!("{:#}", Config::parse(text).expect_err(text));
            assert!(error.contains(part), "{part} is missing in: {error}");
        }
    }
}

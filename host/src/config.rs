//! `pgq-host.toml`: an operator's settings for plugins and the worker.
//!
//! Flags take precedence over the environment, the environment over this file, and this file over
//! the defaults. An unknown key is an error, and all mistakes are reported at once.

mod breaker;
mod canary;
mod entrypoint;
mod history;
mod keys;
mod limits;
mod locations;
mod logs;
mod plugin;
mod retention;
mod run;
mod sealing;
mod sql;
mod traces;
mod trust;
mod units;
mod value;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use breaker::BreakerSection;
use history::HistorySection;
use limits::LimitsSection;
pub use locations::Locations;
use logs::LogsSection;
use plugin::PluginSection;
use retention::RetentionSection;
pub use run::RunSection;
use sealing::SealingSection;
use traces::TracesSection;
pub use traces::slow_of;
use trust::TrustSection;
pub use units::{parse_bytes, parse_duration};
pub use web::Web;
use web::WebSection;

use crate::plugins::{BreakerRule, Canary, Caps, Chosen, ClaimMode, Folder, KeepLines, LogRule};
use crate::sealing::{SealRules, SealingSettings};
use pgq_engine::Grants;
use pgq_queue::{HistoryLevel, Masks, Retention};
use pgq_trace::Keep;
use pgq_trust::Trust;

/// Read from the working directory if no other file is named.
pub const DEFAULT_FILE: &str = "pgq-host.toml";

#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Defaults for the flags of `run`.
    pub run: RunSection,
    /// Caps on what plugins declare.
    pub caps: Caps,
    pub grants: BTreeMap<String, Grants>,
    pub canaries: BTreeMap<String, Canary>,
    /// How jobs are claimed.
    pub claims: Chosen<ClaimMode>,
    /// What is kept of jobs.
    pub history: Chosen<HistoryLevel>,
    /// Whose lines are kept.
    pub keeps: Chosen<KeepLines>,
    pub logs: LogRule,
    /// When an entrypoint that crashes is paused.
    pub breaker: BreakerRule,
    /// How long rows are kept that jobs leave behind.
    pub retention: Retention,
    /// What is kept of traces that are not sampled.
    pub keep_traces: Keep,
    /// Where the pages are, and who may see and change what.
    pub web: Web,
    /// Whose components are served.
    pub trust: Option<Arc<Trust>>,
    /// Where the keys of payloads are.
    pub sealing: SealingSettings,
    /// What must be sealed, and what is.
    pub seals: SealRules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    run: RunSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    circuit_breaker: BreakerSection,
    #[serde(default)]
    history: HistorySection,
    #[serde(default)]
    retention: RetentionSection,
    #[serde(default)]
    logs: LogsSection,
    #[serde(default)]
    traces: TracesSection,
    #[serde(default)]
    web: WebSection,
    trust: Option<TrustSection>,
    #[serde(default)]
    sealing: SealingSection,
    #[serde(default)]
    plugins: BTreeMap<String, PluginSection>,
}

impl Config {
    /// Read the named file, or `pgq-host.toml` in the working directory if it exists.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or is invalid.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Config> {
        let (path, text) = read(named)?;
        Config::parse(&text).with_context(|| format!("the configuration {} is not valid", path.display()))
    }

    /// Only what is masked: a command that looks at jobs needs no plugin's secret.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or its `[web]` is invalid.
    pub fn masks(named: Option<&Path>) -> anyhow::Result<Masks> {
        #[derive(Default, Deserialize)]
        struct OnlyWeb {
            #[serde(default)]
            web: WebSection,
        }
        let (path, text) = read(named)?;
        let parse = || {
            let (file, mut mistakes) = (toml::from_str::<OnlyWeb>(&text)?, Vec::new());
            let web = file.web.check(&mut mistakes);
            if mistakes.is_empty() { Ok(web.masks) } else { bail!("{}", mistakes.join("\n")) }
        };
        parse().with_context(|| format!("the configuration {} is not valid", path.display()))
    }

    /// For a component that was just built, which nobody can have signed yet: show what is declared and
    /// would be granted.
    pub fn forget_trust(&mut self) {
        self.trust = None;
        self.grants.values_mut().for_each(|grants| grants.signer = None);
    }

    /// The folders of plugins with this file's settings for them.
    pub fn folder(&self, paths: Vec<PathBuf>) -> Folder {
        Folder {
            paths,
            grants: self.grants.clone(),
            canaries: self.canaries.clone(),
            claims: self.claims.clone(),
            history: self.history.clone(),
            keeps: self.keeps.clone(),
            logs: self.logs,
            caps: self.caps,
            trust: self.trust.clone(),
            seals: self.seals.clone(),
        }
    }

    /// Parse and check the text of a file.
    ///
    /// # Errors
    ///
    /// Reports all mistakes at once.
    pub fn parse(text: &str) -> anyhow::Result<Config> {
        let file: File = toml::from_str(text)?;
        let mut mistakes = Vec::new();
        let caps = file.limits.caps(&mut mistakes);
        let mut keeps = Chosen { all: file.logs.keep, ..Chosen::default() };
        let (breaker, logs) = (file.circuit_breaker.rule(&mut mistakes), file.logs.rule(&mut mistakes));
        let retention = file.retention.rules(&mut mistakes);
        let (web, keep_traces) = (file.web.check(&mut mistakes), file.traces.keep(&mut mistakes));
        let trust = file.trust.map(|section| section.check(&mut mistakes));
        let (mut grants, mut canaries) = (BTreeMap::new(), BTreeMap::new());
        let mut claims = Chosen { all: file.run.claim.unwrap_or_default(), ..Chosen::default() };
        let mut history = Chosen { all: file.history.level, ..Chosen::default() };
        let mut seals = SealRules::default();
        (seals.requires.all, seals.seals.all) = (file.sealing.require_sealed, file.sealing.seal);
        for (plugin, section) in file.plugins {
            section.choices(&plugin, &mut claims, &mut history, &mut keeps, &mut seals);
            let (grant, canary) = section.check(&plugin, trust.as_ref(), &mut mistakes);
            canaries.extend(canary.map(|canary| (plugin.clone(), canary)));
            grants.insert(plugin, grant);
        }
        let sealing = file.sealing.settings(&seals, &mut mistakes);
        if !mistakes.is_empty() {
            bail!("{}", mistakes.join("\n"));
        }
        let (run, trust) = (file.run, trust.map(Arc::new));
        Ok(Config {
            run,
            caps,
            grants,
            canaries,
            claims,
            history,
            keeps,
            logs,
            breaker,
            retention,
            keep_traces,
            web,
            trust,
            sealing,
            seals,
        })
    }
}

/// The path and text of the file, which is empty where no file is named and none is there.
fn read(named: Option<&Path>) -> anyhow::Result<(&Path, String)> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((path, text)),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok((path, String::new())),
        Err(error) => Err(error).with_context(|| format!("cannot read the configuration {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_file_is_read() {
        let config = Config::parse(
            r#"
            [run]
            plugins = "plugins"
            batch-size = 100
            [limits]
            timeout = "15m"
            memory-mib = 512
            reuse = 1
            max-crashes = 5
            [circuit-breaker]
            crashes = 5
            pause = "1m"
            [history]
            level = "outcomes"
            [logs]
            max-kib = 16
            failures-for = "7d"
            [traces]
            slow = "2s"
            failed = false
            [plugins.webhook]
            canary = { percent = 10, runs = 100 }
            http = ["https://hooks.example.com"]
            claim = "locked"
            [plugins.webhook.entrypoints.pay]
            claim = "marked"
            history = "full"
            logs = "all"
            [plugins.webhook.config]
            region = "eu"
            "#,
        )
        .expect("valid");
        assert_eq!(config.caps.timeout, Duration::from_secs(900));
        assert_eq!((config.caps.memory, config.caps.reuse, config.caps.max_crashes), (512 << 20, 1, 5));
        assert_eq!(config.grants["webhook"].http[0].origin.to_string(), "https://hooks.example.com:443");
        assert!(config.grants["webhook"].config.contains_key("region"));
        assert_eq!(config.canaries["webhook"], Canary { share: 0.1, runs: 100 });
        let locks = |entrypoint: &str| config.claims.locks("webhook", entrypoint, &config.grants["webhook"]);
        assert!(locks("notify") && !locks("pay"));
        let levels = ["notify", "pay"].map(|entrypoint| config.history.of("webhook", entrypoint));
        assert_eq!(levels, [HistoryLevel::Outcomes, HistoryLevel::Full]);
        let keeps = ["notify", "pay"].map(|entrypoint| config.keeps.of("webhook", entrypoint));
        assert_eq!(keeps, [KeepLines::Failures, KeepLines::All]);
        assert_eq!((config.logs.max_bytes, config.logs.failures_for), (16 << 10, Duration::from_secs(7 * 86_400)));
        assert_eq!(config.keep_traces, Keep { failed: false, slow: Some(Duration::from_secs(2)), paths: false });
        assert_eq!(
            config.breaker,
            BreakerRule { crashes: 5, pause: Duration::from_secs(60), ..BreakerRule::default() }
        );
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error =
            Config::parse("[logs]\nmax-kib = 0\nsuccesses-for = \"ages\"\n[traces]\nslow = \"very\"\n[limits]\ntimeout = \"soon\"\nmemory-mib = 0\n[circuit-breaker]\nwindow = 65\npause = \"later\"\n[plugins.a]\ncanary = { percent = 200, runs = 0 }\nhttp = [\"example.com\"]").expect_err("invalid");
        let text = format!("{error:#}");
        for part in [
            "soon",
            "max-kib is 0",
            "ages",
            "traces.slow",
            "memory-mib is 0",
            "window is 65",
            "later",
            "percent is 200",
            "runs is 0",
            "plugins.a.http",
            "example.com",
        ] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = Config::parse("[run]\nbatchsize = 1").expect_err("invalid");
        assert!(format!("{error:#}").contains("batchsize"));
    }
}

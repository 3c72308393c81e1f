//! `pgq-host.toml`: what an operator decides about plugins and the worker.
//!
//! Flags win over the environment, the environment over this file, this file over the defaults. A key that is not known here is an
//! error, and all mistakes are reported at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::plugins::Caps;
use crate::wasm::{Grants, Origin};

/// Looked for in the working directory when no other is named.
pub const DEFAULT_FILE: &str = "pgq-host.toml";

/// The file, checked.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Defaults for the flags of `run`.
    pub run: RunSection,
    /// Caps over what plugins declare.
    pub caps: Caps,
    /// By plugin name.
    pub grants: BTreeMap<String, Grants>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    run: RunSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    plugins: BTreeMap<String, PluginSection>,
}

/// `[run]`: the same names as the flags.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunSection {
    /// Folder of plugins.
    pub plugins: Option<PathBuf>,
    /// Folder of compiled code.
    pub cache_dir: Option<PathBuf>,
    /// Jobs in one claim.
    pub batch_size: Option<usize>,
    /// Jobs that run at a time.
    pub max_concurrent_tasks: Option<usize>,
    /// Seconds.
    pub dequeue_timeout: Option<f64>,
    /// Seconds.
    pub heartbeat_timeout: Option<f64>,
    /// Seconds.
    pub drain_timeout: Option<f64>,
    /// Seconds.
    pub log_aggregation_interval: Option<f64>,
    /// End when the listener is lost.
    pub shutdown_on_listener_failure: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsSection {
    timeout: Option<String>,
    memory_mib: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PluginSection {
    #[serde(default)]
    http: Vec<String>,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

impl Config {
    /// Read the named file; or `pgq-host.toml` here, if there is one.
    pub fn load(named: Option<&Path>) -> anyhow::Result<Config> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read the configuration {}", path.display())),
        };
        Config::parse(&text).with_context(|| format!("the configuration {} is not valid", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Config> {
        let file: File = toml::from_str(text)?;
        let mut mistakes = Vec::new();
        let defaults = Caps::default();
        let timeout = match file.limits.timeout.as_deref().map(humantime::parse_duration) {
            None => defaults.timeout,
            Some(Ok(timeout)) if !timeout.is_zero() => timeout,
            Some(_) => {
                mistakes.push(format!(
                    "limits.timeout is {:?}, which is not a time like \"90s\" or \"15m\"",
                    file.limits.timeout.unwrap_or_default()
                ));
                defaults.timeout
            }
        };
        let memory = match file.limits.memory_mib {
            None => defaults.memory,
            Some(mib @ 1..=4096) => mib << 20,
            Some(mib) => {
                mistakes.push(format!("limits.memory-mib is {mib}, which is not between 1 and 4096"));
                defaults.memory
            }
        };
        let mut grants = BTreeMap::new();
        for (plugin, section) in file.plugins {
            let mut http = Vec::new();
            for origin in section.http {
                match origin.parse::<Origin>() {
                    Ok(origin) => http.push(origin),
                    Err(mistake) => mistakes.push(format!("plugins.{plugin}.http: {mistake}")),
                }
            }
            grants.insert(plugin, Grants { http, config: section.config });
        }
        if !mistakes.is_empty() {
            bail!("{}", mistakes.join("\n"));
        }
        Ok(Config { run: file.run, caps: Caps { timeout, memory }, grants })
    }
}

/// A time as PgQueuer's flags have it, seconds with a fraction; or with a unit, like `90s`, `15m`, `2h 30m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time; write seconds like 30 or 0.5, or a unit like 90s, 15m, 2h");
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong()),
        Err(_) => humantime::parse_duration(text).map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
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
            [plugins.webhook]
            http = ["https://hooks.example.com"]
            [plugins.webhook.config]
            region = "eu"
            "#,
        )
        .expect("valid");
        assert_eq!(config.caps.timeout, Duration::from_secs(900));
        assert_eq!(config.caps.memory, 512 << 20);
        assert_eq!(config.grants["webhook"].http[0].to_string(), "https://hooks.example.com:443");
        assert_eq!(config.grants["webhook"].config["region"], "eu");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let error =
            Config::parse("[limits]\ntimeout = \"soon\"\nmemory-mib = 0\n[plugins.a]\nhttp = [\"example.com\"]").expect_err("invalid");
        let text = format!("{error:#}");
        for part in ["soon", "memory-mib is 0", "plugins.a.http", "example.com"] {
            assert!(text.contains(part), "{part} is missing in: {text}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = Config::parse("[run]\nbatchsize = 1").expect_err("invalid");
        assert!(format!("{error:#}").contains("batchsize"));
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        for bad in ["-1", "inf", "nan", "soon", ""] {
            assert!(parse_duration(bad).expect_err("refused").contains(bad));
        }
    }
}

//! The logging flags. Logs go to stderr; stdout is for data.

use std::sync::OnceLock;

use clap::Args;

use super::output;
use super::verbosity::VerbosityArgs;
use crate::logging::{self, Format};

/// `-v` and `-q`, which all verbs have.
static VERBOSITY: OnceLock<VerbosityArgs> = OnceLock::new();

/// How much is logged, and in which format.
#[derive(Debug, Clone, Args)]
pub(super) struct LoggingArgs {
    #[arg(
        long,
        default_value = "INFO",
        env = "PGQ_HOST_LOG_LEVEL",
        value_parser = parse_level,
        help = "DEBUG, INFO, WARNING, ERROR or CRITICAL; RUST_LOG's filters work too and win"
    )]
    log_level: &'static str,
    /// Text for people, JSON for machines
    #[arg(long, default_value = "text", env = "PGQ_HOST_LOG_FORMAT")]
    log_format: Format,
}

/// Accepts Python's names for levels, and tracing's.
fn parse_level(text: &str) -> Result<&'static str, String> {
    match text.to_ascii_uppercase().as_str() {
        "TRACE" | "NOTSET" => Ok("trace"),
        "DEBUG" => Ok("debug"),
        "INFO" => Ok("info"),
        "WARNING" | "WARN" => Ok("warn"),
        "ERROR" | "CRITICAL" | "FATAL" => Ok("error"),
        _ => Err("use DEBUG, INFO, WARNING, ERROR or CRITICAL".into()),
    }
}

/// As much on stderr as is wanted, before the verb begins, which may have a log of its own.
pub(super) fn begin(verbosity: VerbosityArgs, has_its_own: bool) -> anyhow::Result<()> {
    if verbosity.is_quiet() {
        output::be_quiet();
    }
    let _ = VERBOSITY.set(verbosity);
    match verbosity.of_verb().filter(|_| !has_its_own) {
        Some(level) => logging::install(level, Format::Text),
        None => Ok(()),
    }
}

impl LoggingArgs {
    /// Call once per process.
    pub(super) fn install(&self) -> anyhow::Result<()> {
        let verbosity = VERBOSITY.get().copied().unwrap_or_default();
        logging::install(verbosity.level(self.log_level), self.log_format)
    }
}

//! Logs go to stderr; stdout is for data.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How much, and in which form.
#[derive(Debug, Args)]
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

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Python's names for levels, and tracing's.
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

impl LoggingArgs {
    /// Once per process.
    pub(super) fn install(&self) {
        // The level is for us and our guests; libraries only speak up when something is wrong.
        let default = format!("warn,pgq_host={}", self.log_level);
        // An empty RUST_LOG, as Compose files leave it, is no filter.
        let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
        let filter = EnvFilter::try_new(wanted.unwrap_or(default.clone())).unwrap_or_else(|_| EnvFilter::new(default));
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
        // Only fails where a subscriber is installed already: then somebody embeds us and has their own.
        let _ = match self.log_format {
            Format::Json => builder.json().flatten_event(true).try_init(),
            Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        };
    }
}

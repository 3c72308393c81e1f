//! The host's log. A background thread writes the lines, so that nobody waits for stderr.
//!
//! Logs go to stderr. docs/logging.md describes the formats and the fields.

mod fields;
mod json;
mod list;
mod panic;
mod queue;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format as Text, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

pub(crate) use list::list;
pub(crate) use queue::DROPPED;

use fields::TextFields;
use json::{Json, Object};
use pgq_engine::printable::printable_lines;
use pgq_queue::environment;
use queue::Queue;

/// How long the end of the process waits for lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// The log of this process, once it is installed.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    queue: Queue,
    format: Format,
    /// stderr is systemd's journal, which reads a priority from the start of a line.
    journal: bool,
}

/// Install the log. Call once per process. `level` applies to the host and its guests; `RUST_LOG`
/// takes precedence.
///
/// # Errors
///
/// Fails if stderr cannot be duplicated or the log's thread cannot be started.
pub fn install(level: &str, format: Format) -> anyhow::Result<()> {
    // Not `std::io::stderr()` itself: a thread stuck in a write would hold its lock, and block
    // everyone else who writes to it.
    let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().context("stderr cannot be used for the log")?);
    let log = Log { queue: Queue::default(), format, journal: is_journal(&stderr) };
    if LOG.set(log).is_err() {
        return Ok(());
    }
    let log = LOG.get().context("the log was just made")?;
    let write = move || {
        log.queue.write(stderr, |lines| tracing::warn!(lines, "log lines were dropped because stderr was too slow"))
    };
    thread::Builder::new().name("pgq-log".into()).spawn(write).context("cannot start the log's thread")?;
    // Libraries only log problems.
    let default = of_all_crates(&format!("warn,pgq_host={level}"));
    // An empty RUST_LOG, as Compose files produce it, is not a filter.
    let wanted = environment::variable("RUST_LOG").filter(|filter| !filter.trim().is_empty());
    let (filter, mistake) = match wanted.as_ref().map(|wanted| EnvFilter::try_new(of_all_crates(wanted))) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(&default), Some(error)),
        None => (EnvFilter::new(&default), None),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log).log_internal_errors(false);
    // Fails only if a subscriber is already installed. Then an embedding program has its own.
    let _ = match format {
        Format::Json => builder.event_format(Prioritised { inner: Json, journal: log.journal }).try_init(),
        Format::Text => {
            let text = Text::default().with_target(false);
            builder
                .with_ansi(has_colours())
                .fmt_fields(TextFields)
                .event_format(Prioritised { inner: text, journal: log.journal })
                .try_init()
        }
    };
    panic::install(flush);
    if let (Some(error), Some(wanted)) = (mistake, wanted) {
        tracing::warn!(error = %error, "RUST_LOG is {wanted:?}, which is not a valid filter, and is ignored; write it like pgq_host=debug,warn");
    }
    Ok(())
}

/// The crates of the host. In filters and log lines they are all called `pgq_host`.
const CRATES: [&str; 7] = ["pgq_bench", "pgq_cron", "pgq_embedded", "pgq_engine", "pgq_queue", "pgq_trace", "pgq_web"];

/// A filter in which directives for `pgq_host` also apply to the host's other crates, unless those
/// are named.
fn of_all_crates(filter: &str) -> String {
    let Some(level) = filter.split(',').find_map(|directive| directive.trim().strip_prefix("pgq_host=")) else {
        return filter.to_owned();
    };
    let unnamed = CRATES.iter().filter(|name| !filter.contains(**name));
    unnamed.map(|name| format!("{name}={level},")).collect::<String>() + filter
}

/// Report why the process ends, in the log's format if there is a log, and write the remaining
/// lines.
pub fn fatal(said: &str) {
    let Some(log) = LOG.get() else {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "Error: {}", printable_lines(said, "       "));
        return;
    };
    log.queue.push(log.last_word(said).unwrap_or_default().as_bytes());
    flush();
}

/// Write the remaining lines, within a short time limit.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(FLUSH_TIMEOUT);
    }
}

impl Log {
    fn last_word(&self, said: &str) -> Result<String, fmt::Error> {
        let level = if self.journal { priority(&Level::ERROR) } else { "" };
        match self.format {
            Format::Text => Ok(format!("{level}Error: {}\n", printable_lines(said, &format!("{level}       ")))),
            Format::Json => {
                let mut object = Object::new(&Level::ERROR)?;
                object.text("target", module_path!())?;
                object.text("message", "pgq-host ends with an error")?;
                object.text("error", said)?;
                Ok(format!("{level}{}", object.line()))
            }
        }
    }
}

impl<'a> MakeWriter<'a> for &'static Log {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter(&self.queue)
    }
}

/// Takes one line at a time from the subscriber, and never fails.
#[derive(Debug)]
struct LineWriter(&'static Queue);

impl io::Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds a priority before each line if the journal reads it.
#[derive(Debug)]
struct Prioritised<F> {
    inner: F,
    journal: bool,
}

impl<S, N, F> FormatEvent<S, N> for Prioritised<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.journal {
            writer.write_str(priority(event.metadata().level()))?;
        }
        self.inner.format_event(context, writer, event)
    }
}

/// The prefixes of sd-daemon(3).
fn priority(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// systemd names the file that it gave us as stderr. In a shell that runs under a unit, ours may be
/// another.
fn is_journal(stderr: &File) -> bool {
    let (Some(named), Ok(ours)) = (environment::variable("JOURNAL_STREAM"), rustix::fs::fstat(stderr)) else {
        return false;
    };
    named == format!("{}:{}", ours.st_dev, ours.st_ino)
}

/// <https://no-color.org>: set to anything but an empty value.
fn has_colours() -> bool {
    io::stderr().is_terminal()
        && environment::variable("NO_COLOR").is_none()
        && environment::variable("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_the_host_is_one_of_all_its_crates() {
        let all = of_all_crates("warn,pgq_host=debug,pgq_queue=info");
        assert_eq!(
            all,
            "pgq_bench=debug,pgq_cron=debug,pgq_embedded=debug,pgq_engine=debug,pgq_trace=debug,pgq_web=debug,warn,pgq_host=debug,pgq_queue=info"
        );
        assert_eq!(of_all_crates("pgq_host::guest=warn"), "pgq_host::guest=warn");
        assert!(EnvFilter::try_new(all).is_ok());
    }
}

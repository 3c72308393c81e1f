//! What commands print: data to stdout, as a table for people or as JSON for programs, and status
//! to stderr.

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Style;

use pgq_engine::printable::{printable, printable_lines};

/// Print data as lines.
pub(super) fn data(text: &str) -> anyhow::Result<()> {
    write(text.as_bytes(), b"\n").map(drop)
}

/// Print foreign data byte for byte. On a terminal, unprintable characters are escaped, and the
/// prompt starts on a new line.
pub(super) fn raw(bytes: &[u8]) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() {
        return data(&printable_lines(&String::from_utf8_lossy(bytes), ""));
    }
    write(bytes, b"").map(drop)
}

/// Print foreign data as one line. On a terminal it stays one line whatever it contains. Returns
/// whether the reader is still there.
pub(super) fn line(text: &str) -> anyhow::Result<bool> {
    let text = if std::io::stdout().is_terminal() { printable(text) } else { text.into() };
    write(text.as_bytes(), b"\n")
}

/// Print a line that contains foreign text. It is one line whatever that contains, also in a file.
/// Returns whether the reader is still there.
pub(super) fn printed_line(text: &str) -> anyhow::Result<bool> {
    write(printable(text).as_bytes(), b"\n")
}

/// A reader that has seen enough (`| head`) is not an error. Later output goes nowhere.
fn write(bytes: &[u8], end: &[u8]) -> anyhow::Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.write_all(end)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        done => done.map(|()| true).context("cannot write to standard output"),
    }
}

/// Print rows as one JSON array.
pub(super) fn json<T: Serialize>(rows: &[T]) -> anyhow::Result<()> {
    data(&serde_json::to_string(rows)?)
}

/// Print one row as a JSON object.
pub(super) fn json_object<T: Serialize>(row: &T) -> anyhow::Result<()> {
    data(&serde_json::to_string(row)?)
}

/// Print foreign text of several lines below a heading of ours, indented.
pub(super) fn section(heading: &str, text: &str) -> anyhow::Result<()> {
    data(&format!("{heading}\n  {}", printable_lines(text, "  ")))
}

/// Print one JSON object.
pub(super) fn object(object: &Value) -> anyhow::Result<()> {
    data(&object.to_string())
}

/// Print rows as a table, or say on stderr that there are none.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    none: &str,
) -> anyhow::Result<()> {
    let mut builder = Builder::default();
    builder.push_record(head);
    let mut empty = true;
    for row in rows {
        empty = false;
        // Text from a producer or a handler must not move the terminal's cursor.
        builder.push_record(row.map(|cell| printable(&cell).into_owned()));
    }
    if empty {
        status(none);
        return Ok(());
    }
    data(&builder.build().with(Style::psql()).to_string())
}

/// Whether nobody wants status messages.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Print no status messages from now on.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Print a status message, if anybody is reading.
pub(super) fn status(line: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    let _ = writeln!(std::io::stderr(), "{}", printable_lines(line, "  "));
}

/// To the second, in UTC.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A duration in its two largest units.
pub(super) fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let two = |large: i64, of: &str, small: i64, rest: &str| match small {
        0 => format!("{large} {of}"),
        small => format!("{large} {of} {small} {rest}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// Microseconds in a unit that suits them.
pub(super) fn micros(micros: i64) -> String {
    match micros {
        ..10_000 => format!("{micros} us"),
        10_000..10_000_000 => format!("{} ms", micros / 1_000),
        _ => span(TimeDelta::microseconds(micros)),
    }
}

/// Bytes in a unit that suits them.
pub(super) fn bytes(bytes: i64) -> String {
    match bytes {
        ..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// Print what is known of one thing, a line for each fact.
pub(super) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> anyhow::Result<()> {
    let lines: Vec<String> =
        facts.into_iter().map(|(name, value)| format!("{name:<15} {}", printable(&value))).collect();
    data(&lines.join("\n"))
}

/// At most `most` characters.
pub(super) fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

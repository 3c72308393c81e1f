//! The server's log: a file of limited size beside the data, whose end is included in every error.
//!
//! The server writes to the file itself rather than through a pipe, so its last messages are kept
//! even if we are killed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::EmbeddedError;

/// A larger log is moved to `server.log.1`, replacing the previous one.
const SIZE_MAX: u64 = 4 << 20;

/// How often a running server's log is checked.
const CHECK: Duration = Duration::from_secs(60);

/// Enough of the end to show the cause and its hints, in bytes.
const TAIL: u64 = 4096;

/// The most lines of it in an error.
const TAIL_LINES: usize = 12;

/// Open it for a server's output, and return the position where that output will start.
pub(super) fn open(path: &Path) -> Result<(File, u64), EmbeddedError> {
    bound(path, SIZE_MAX).map_err(EmbeddedError::io("rotate", path))?;
    let open = || {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let begin = file.metadata()?.len();
        Ok((file, begin))
    };
    open().map_err(EmbeddedError::io("open", path))
}

/// The last lines written since `begin`.
pub(super) fn tail(path: &Path, begin: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(begin.min(end).max(end.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(cannot be read: {error})"));
    let lines: Vec<_> = text.lines().collect();
    let shown = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    if shown.trim().is_empty() { "(nothing)".into() } else { shown }
}

/// Limit the log of a running server, until the returned task is aborted.
pub(super) fn keep_bounded(path: PathBuf) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CHECK).await;
            if let Err(error) = bound(&path, SIZE_MAX) {
                tracing::warn!(path = %path.display(), %error, "the embedded server's log cannot be rotated");
            }
        }
    })
}

/// Copy and truncate rather than rename, because the server keeps its file open for appending.
fn bound(path: &Path, size_max: u64) -> std::io::Result<()> {
    if fs::metadata(path).map_or(0, |meta| meta.len()) <= size_max {
        return Ok(());
    }
    fs::copy(path, path.with_extension("log.1"))?;
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_tail_begins_with_this_run_and_survives_truncation() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("server.log");
        fs::write(&path, "an old run\n").expect("written");
        let (mut file, begin) = open(&path).expect("a log");
        assert_eq!(tail(&path, begin), "(nothing)");
        writeln!(file, "one\ntwo").expect("written");
        assert_eq!(tail(&path, begin), "one\ntwo");
        bound(&path, 5).expect("rotated");
        writeln!(file, "three").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a log"), "three\n");
        assert!(fs::read_to_string(path.with_extension("log.1")).expect("the old log").ends_with("two\n"));
        assert_eq!(tail(&path, begin), "(nothing)");
    }
}

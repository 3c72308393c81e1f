//! The queue of log lines, which a background thread writes. Code that logs never waits for a
//! reader.
//!
//! A slow or closed reader, a closed terminal and a full disk cost log lines and nothing else.
//! tracing-appender's writer does not fit: it bounds its queue in lines rather than bytes, and
//! loses lines that cannot be written without counting them.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Counts the lines that did not fit.
pub(crate) const DROPPED: &str = "pgq_host_log_lines_dropped_total";

/// The most bytes that wait to be written, in addition to those being written.
const MAX_BYTES: usize = 4 << 20;
/// A pipe accepts this many bytes atomically, without another process's line in between. A longer
/// line is written alone.
const ATOMIC_WRITE_BYTES: usize = 4096;
/// The delay between attempts when writing fails.
const FIRST_RETRY: Duration = Duration::from_millis(10);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Lines waiting to be written to a file.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pending: Mutex<Pending>,
    more: Condvar,
    done: Condvar,
    writer: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct Pending {
    text: Vec<u8>,
    /// Lines dropped after the last of these.
    dropped: u64,
    writing: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Add a line, including its newline. Dropped if there is no room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut pending = self.lock();
        // The message that lines were dropped must not be dropped itself.
        if pending.text.len() + line.len() > MAX_BYTES && self.writer.get() != Some(&thread::current().id()) {
            pending.dropped += 1;
            drop(pending);
            metrics::counter!(DROPPED).increment(1);
            return;
        }
        let wakes = pending.text.is_empty();
        pending.text.extend_from_slice(line);
        drop(pending);
        if wakes {
            self.more.notify_one();
        }
    }

    /// Wait until everything is written, for this long at most.
    pub(super) fn flush(&self, within: Duration) {
        let pending = self.lock();
        let busy = |pending: &mut Pending| pending.writing || !pending.text.is_empty();
        drop(self.done.wait_timeout_while(pending, within, busy));
    }

    /// Write lines forever. `gap` is called with the number of lines missing before those that are
    /// written next; what it logs takes their place.
    pub(super) fn write(&self, mut to: File, gap: impl Fn(u64)) -> ! {
        let _ = self.writer.set(thread::current().id());
        loop {
            let mut pending = self.lock();
            pending.writing = false;
            self.done.notify_all();
            let mut pending = self
                .more
                .wait_while(pending, |pending| pending.text.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            pending.writing = true;
            let (text, dropped) = (std::mem::take(&mut pending.text), std::mem::take(&mut pending.dropped));
            drop(pending);
            if dropped > 0 {
                gap(dropped);
            }
            pieces(&text).for_each(|piece| persist(&mut to, piece));
        }
    }
}

/// Splits the text into pieces of whole lines, each as large as one write may be, or of a single
/// longer line.
fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let last = rest[..rest.len().min(ATOMIC_WRITE_BYTES)].iter().rposition(|byte| *byte == b'\n');
        let end = last.or_else(|| rest.iter().position(|byte| *byte == b'\n')).map_or(rest.len(), |at| at + 1);
        let (piece, left) = rest.split_at(end);
        rest = left;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// Write the piece, however long it takes: disk space is freed, and a non-blocking terminal accepts
/// more after a while. If the reader is gone for good, this tries once a second, and further lines
/// are dropped.
fn persist(to: &mut File, mut piece: &[u8]) {
    let mut retry = FIRST_RETRY;
    while !piece.is_empty() {
        match to.write(piece) {
            Ok(written) if written > 0 => {
                piece = &piece[written..];
                retry = FIRST_RETRY;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                thread::sleep(retry);
                retry = (retry * 2).min(LAST_RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;

    fn written_to(to: File) -> (Arc<Queue>, Arc<AtomicU64>) {
        let (queue, missing) = (Arc::new(Queue::default()), Arc::new(AtomicU64::new(0)));
        let (writer, counted) = (Arc::clone(&queue), Arc::clone(&missing));
        thread::spawn(move || {
            let of = Arc::clone(&writer);
            writer.write(to, move |lines| {
                counted.fetch_add(lines, Ordering::SeqCst);
                of.push(b"gap\n");
            })
        });
        (queue, missing)
    }

    fn pipe() -> (PipeReader, File) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        (reader, File::from(OwnedFd::from(writer)))
    }

    #[test]
    fn pieces_are_whole_lines() {
        let long = [vec![b'x'; ATOMIC_WRITE_BYTES], b"\n".to_vec()].concat();
        let text = [&b"one\ntwo\n"[..], &long, b"three\n", b"rest"].concat();
        let cut: Vec<&[u8]> = pieces(&text).collect();
        assert_eq!(cut, [&b"one\ntwo\n"[..], &long, b"three\n", b"rest"]);
        assert_eq!(pieces(b"").count(), 0);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_hears_how_many() {
        let (mut reader, writer) = pipe();
        let (queue, missing) = written_to(writer);
        let line = [vec![b'x'; 99_999], b"\n".to_vec()].concat();
        // A pipe holds 64 KiB, one batch is being written, and one waits. Most of these lines do
        // not fit, and none of them waits.
        (0..200).for_each(|_| queue.push(&line));
        let before = Instant::now();
        queue.flush(Duration::from_millis(50));
        assert!(before.elapsed() < Duration::from_secs(30), "a stop waits no longer than it says");
        let read = thread::spawn(move || {
            let mut text = Vec::new();
            let mut buffer = [0; 1 << 16];
            while !text.ends_with(b"end\n") {
                let count = reader.read(&mut buffer).expect("read");
                text.extend_from_slice(&buffer[..count]);
            }
            text
        });
        queue.flush(Duration::from_secs(60));
        queue.push(b"end\n");
        let text = read.join().expect("read");
        let lines = |wanted: &[u8]| text.split(|byte| *byte == b'\n').filter(|line| *line == wanted).count() as u64;
        let whole = lines(&line[..99_999]);
        assert!((40..150).contains(&whole), "{whole}");
        assert_eq!(whole + missing.load(Ordering::SeqCst), 200, "each was written whole or counted");
        assert!(lines(b"gap") > 0);
    }

    #[test]
    fn a_file_that_takes_nothing_ends_nothing() {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let broken = pipe().1;
        for to in [full, broken] {
            let (queue, missing) = written_to(to);
            (0..100).for_each(|_| queue.push(&[b'x'; 100_000]));
            queue.flush(Duration::from_millis(10));
            assert!(queue.lock().dropped + missing.load(Ordering::SeqCst) > 0);
        }
    }
}

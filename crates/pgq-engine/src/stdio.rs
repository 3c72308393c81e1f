//! A guest's stdout and stderr, split into lines for the job's log.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::log_sink::LogSink;

/// A longer line is split. A guest that never ends its line must not fill the host's memory.
const MAX_LINE_BYTES: usize = 8 << 10;

/// One of the two streams. Clones share their unfinished line, as WASI requires for streams of one
/// file.
#[derive(Clone)]
pub(super) struct LineStream {
    name: &'static str,
    sink: LogSink,
    unfinished: Arc<Mutex<Vec<u8>>>,
}

impl LineStream {
    pub(super) fn new(name: &'static str, sink: LogSink) -> LineStream {
        LineStream { name, sink, unfinished: Arc::default() }
    }

    fn push(&self, bytes: &[u8]) {
        let mut line = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                line.extend_from_slice(part);
                let ended = line.last() == Some(&b'\n');
                if ended || line.len() >= MAX_LINE_BYTES {
                    self.sink.stream_line(self.name, line.trim_ascii_end());
                    line.clear();
                }
            }
        }
    }

    /// The run is over: log an unfinished line, too.
    pub(super) fn finish(&self) {
        let mut line = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            self.sink.stream_line(self.name, line.trim_ascii_end());
            line.clear();
        }
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        // Without this, wasmtime-wasi would spawn a task for every stream of every job.
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for LineStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

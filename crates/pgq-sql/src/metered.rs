//! Bounds what the server may send: before anything of it is in memory, whatever the size of a row.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that the server may send in answer to one message. A host holds that much for a
/// session at most.
pub(super) const ANSWER_BYTES: u64 = 4 << 20;

/// What the server may still send.
#[derive(Debug)]
pub(super) struct Meter {
    run: AtomicU64,
    answer: AtomicU64,
    exceeded: AtomicBool,
}

impl Meter {
    /// Nothing is bounded before a run begins but each answer.
    pub(super) fn new() -> Arc<Meter> {
        Arc::new(Meter {
            run: AtomicU64::new(u64::MAX),
            answer: AtomicU64::new(ANSWER_BYTES),
            exceeded: AtomicBool::new(false),
        })
    }

    /// A run begins that may read this much.
    pub(super) fn begin(&self, bytes: u64) {
        self.run.store(bytes, Ordering::Relaxed);
        self.ask();
    }

    /// The next message is sent.
    pub(super) fn ask(&self) {
        self.answer.store(ANSWER_BYTES, Ordering::Relaxed);
    }

    /// Which limit ended the session, if one did.
    pub(super) fn exceeded(&self) -> Option<&'static str> {
        let exceeded = self.exceeded.load(Ordering::Relaxed);
        let whole = self.run.load(Ordering::Relaxed) == 0;
        exceeded.then_some(if whole { "run" } else { "answer" })
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let left = |left: &AtomicU64| {
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(bytes), Ordering::Relaxed);
            before >= bytes
        };
        // Both are counted.
        if left(&self.run) & left(&self.answer) {
            return Ok(());
        }
        self.exceeded.store(true, Ordering::Relaxed);
        Err(io::Error::other("the server sends more than the run may read"))
    }
}

/// A stream whose incoming bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Arc<Meter>) -> Metered<S> {
        Metered { stream, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        Poll::Ready(self.meter.take((buffer.filled().len() - before) as u64))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn read(meter: &Arc<Meter>, bytes: usize) -> io::Result<usize> {
        let sent = vec![0; bytes];
        Metered::new(&sent[..], Arc::clone(meter)).read_to_end(&mut Vec::new()).await
    }

    #[tokio::test]
    async fn an_answer_and_a_run_have_an_end() {
        let meter = Meter::new();
        meter.begin(ANSWER_BYTES * 2);
        assert!(read(&meter, 1 << 20).await.is_ok() && meter.exceeded().is_none());
        meter.ask();
        assert!(read(&meter, ANSWER_BYTES as usize + 1).await.is_err());
        assert_eq!(meter.exceeded(), Some("answer"));
        let meter = Meter::new();
        meter.begin(10);
        assert!(read(&meter, 10).await.is_ok() && read(&meter, 1).await.is_err());
        assert_eq!(meter.exceeded(), Some("run"));
    }
}

//! The one place where a guest's output becomes a line in the host's log.

use std::sync::{Arc, Mutex, PoisonError};

use super::bindings::pgq::plugin::log::Level;
use super::log_context::LogContext;
use super::tail::Tail;
use pgq_job::Printed;

/// The most bytes that one run may log, over stdout, stderr and `log.emit`, including what the host
/// adds to each line.
const MAX_LOG_BYTES: usize = 1 << 20;
/// What the host adds to a line: the time, the job's id, the entrypoint and the plugin. So even
/// empty lines count.
const LINE_BYTES: usize = 200;
/// The end of stderr that is kept for a traceback: enough for a panic's message.
const STDERR_TAIL_BYTES: usize = 2 << 10;

/// Shared by the log interface and the two streams of one run.
#[derive(Debug, Clone)]
pub(super) struct LogSink(Arc<Mutex<Sink>>);

#[derive(Debug)]
struct Sink {
    context: LogContext,
    left: usize,
    full: bool,
    stderr_tail: String,
    tail: Tail,
}

impl LogSink {
    pub(super) fn new(context: LogContext) -> LogSink {
        LogSink(Arc::new(Mutex::new(Sink::new(context))))
    }

    /// Prepare for the next call of the same instance.
    pub(super) fn renew(&self, context: LogContext) {
        self.with(|sink| *sink = Sink::new(context));
    }

    /// Whether lines were dropped.
    pub(super) fn is_full(&self) -> bool {
        self.with(|sink| sink.full)
    }

    pub(super) fn line(&self, level: Level, message: &str, fields: &str) {
        self.with(|sink| sink.line(level, "log", message, fields));
    }

    pub(super) fn stream_line(&self, stream: &'static str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        self.with(|sink| {
            if stream == "stderr" {
                sink.remember(&text);
            }
            sink.line(Level::Info, stream, &text, "");
        });
    }

    /// The end of what the guest wrote to stderr, where runtimes put a panic's message.
    pub(super) fn stderr_tail(&self) -> String {
        self.with(|sink| sink.stderr_tail.clone())
    }

    /// Take the last lines, which are kept with the outcome.
    pub(super) fn take_printed(&self) -> Printed {
        self.with(|sink| sink.tail.take())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Sink) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sink {
    fn new(context: LogContext) -> Sink {
        let tail = Tail::new(context.kept);
        Sink { context, left: MAX_LOG_BYTES, full: false, stderr_tail: String::new(), tail }
    }

    fn remember(&mut self, line: &str) {
        self.stderr_tail.push_str(line);
        self.stderr_tail.push('\n');
        if self.stderr_tail.len() > STDERR_TAIL_BYTES {
            let excess = self.stderr_tail.len() - STDERR_TAIL_BYTES;
            self.stderr_tail.drain(..self.stderr_tail.ceil_char_boundary(excess));
        }
    }

    fn line(&mut self, level: Level, stream: &'static str, message: &str, fields: &str) {
        // Lines that the host's log drops are the outcome's all the same: their end tells most.
        self.tail.push(stream, name(level), message, fields);
        let size = escaped_len(message) + escaped_len(fields) + self.context.entrypoint.len() + LINE_BYTES;
        if size > self.left {
            if !self.full {
                self.full = true;
                self.emit(Level::Warn, stream, "the job logged more than 1 MiB; the rest is dropped", "");
            }
            return;
        }
        self.left -= size;
        self.emit(level, stream, message, fields);
    }

    fn emit(&self, level: Level, stream: &'static str, message: &str, fields: &str) {
        let LogContext { plugin, entrypoint, job, batch, trace, .. } = &self.context;
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(target: "pgq_host::guest", { job.id = job, batch, job.entrypoint = %entrypoint, plugin = %plugin, trace_id = trace.map(|(trace, _)| display(trace)), span_id = trace.map(|(_, span)| display(span)), stream, detail = fields }, "{message}")
            };
        }
        match level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// How many bytes a text takes in the log, in which characters that would end a line or control a
/// terminal are escaped.
fn escaped_len(text: &str) -> usize {
    text.len() + text.bytes().filter(u8::is_ascii_control).count() * 3
}

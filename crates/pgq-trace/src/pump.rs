//! The one task that sends spans.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanData;
use tokio_util::sync::CancellationToken;

use super::exporter::Exporter;
use super::queue::{DROPPED, EXPORT_FAILED, QUEUE_FULL, RUN_LIMIT, STOPPED};
use super::settings::TraceSettings;
use super::sink::Sink;
use super::spans::Spans;

const EXPORTED: &str = "pgq_host_spans_exported_total";
/// At a stop, what waits has so long to be sent. The others that wind up have a little more.
const LAST_WORDS: Duration = Duration::from_millis(1_700);
/// Between two log lines that say that the collector cannot be reached.
const SAY: Duration = Duration::from_secs(60);

/// Sends what a host's tracer keeps.
pub struct Pump {
    sink: Arc<Sink>,
    exporter: Exporter,
    spans: Spans,
    endpoint: String,
    delay: Duration,
    timeout: Duration,
    batch: usize,
    said: Option<Instant>,
}

impl Pump {
    pub(crate) fn new(sink: Arc<Sink>, exporter: Exporter, settings: &TraceSettings) -> Pump {
        let spans = Spans::new(sink.keep.paths);
        Pump {
            sink,
            exporter,
            spans,
            endpoint: settings.endpoint.clone(),
            delay: settings.schedule_delay,
            timeout: settings.export_timeout,
            batch: settings.max_batch_size,
            said: None,
        }
    }

    /// Send spans until told to stop, and then what is left, for a short while.
    pub async fn run(mut self, stop: CancellationToken) {
        metrics::counter!(EXPORTED).increment(0);
        for reason in [QUEUE_FULL, RUN_LIMIT, EXPORT_FAILED, STOPPED] {
            metrics::counter!(DROPPED, "reason" => reason).increment(0);
        }
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.sink.queue.enough() => {}
                () = tokio::time::sleep(self.delay) => {}
            }
            let sending = self.send_all();
            // What is under way is part of what is left.
            tokio::select! {
                biased;
                () = sending => {}
                () = after(&stop, LAST_WORDS) => {
                    return self.give_up();
                }
            }
        }
        if tokio::time::timeout(LAST_WORDS, self.send_all()).await.is_err() {
            self.give_up();
        }
    }

    async fn send_all(&mut self) {
        loop {
            let taken = self.sink.queue.take();
            if taken.is_empty() {
                return;
            }
            let mut spans = Vec::new();
            taken.into_iter().for_each(|finished| self.spans.of(finished, &mut spans));
            let mut left = Left(spans.len());
            // A run may have more spans than a batch has room for.
            while !spans.is_empty() {
                let rest = spans.split_off(spans.len().min(self.batch));
                let batch = std::mem::replace(&mut spans, rest);
                let count = batch.len();
                self.send(batch).await;
                left.0 -= count;
            }
        }
    }

    async fn send(&mut self, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        let error = match tokio::time::timeout(self.timeout, self.exporter.send(spans)).await {
            Ok(Ok(())) => {
                metrics::counter!(EXPORTED).increment(count);
                if self.said.take().is_some() {
                    tracing::info!(endpoint = self.endpoint, "spans are exported again");
                }
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {:?}", self.timeout),
        };
        metrics::counter!(DROPPED, "reason" => EXPORT_FAILED).increment(count);
        if self.said.is_none_or(|said| said.elapsed() >= SAY) {
            self.said = Some(Instant::now());
            tracing::warn!(
                spans = count,
                endpoint = self.endpoint,
                error,
                "spans cannot be exported and are dropped; jobs are not affected"
            );
        }
    }

    fn give_up(self) {
        let left = self.sink.queue.clear();
        metrics::counter!(DROPPED, "reason" => STOPPED).increment(left as u64);
        tracing::warn!(endpoint = self.endpoint, spans = left, "the collector did not take all spans before the stop");
    }
}

/// Spans that were taken and not sent yet. If nobody waits for that any more, they count as dropped.
struct Left(usize);

impl Drop for Left {
    fn drop(&mut self) {
        if self.0 > 0 {
            metrics::counter!(DROPPED, "reason" => STOPPED).increment(self.0 as u64);
        }
    }
}

/// Resolves so long after the stop.
async fn after(stop: &CancellationToken, time: Duration) {
    stop.cancelled().await;
    tokio::time::sleep(time).await;
}

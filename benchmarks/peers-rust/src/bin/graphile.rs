//! graphile_worker's side of drain.py: one native task that does nothing.
//!
//! `install` runs its migrations, `drain` ends when the queue is empty, `serve` at SIGTERM.

use std::time::Duration;

use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use pgq_host_benchmarks_peers::{Error, Payload, called, drained, report, terminated};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Hello(Payload);

impl TaskHandler for Hello {
    const IDENTIFIER: &'static str = "hello";

    async fn run(self, _context: WorkerContext) -> impl IntoTaskHandlerResult {
        called(&self.0);
        Ok::<(), String>(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let pool = PgPoolOptions::new().max_connections(25).connect(&std::env::var("PGDSN")?).await?;
    // As graphile-worker in Node: 24 at a time, a local queue of 500. Completions wait for others as long as its documentation has them wait.
    let worker = WorkerOptions::default()
        .concurrency(24)
        .local_queue(LocalQueueConfig::default().with_size(500))
        .complete_job_batch_delay(Duration::from_millis(5))
        .fail_job_batch_delay(Duration::from_millis(5))
        .listen_os_shutdown_signals(false)
        .define_job::<Hello>()
        .pg_pool(pool.clone())
        .init()
        .await?;
    match mode.as_str() {
        // The migrations have run.
        "install" => return Ok(()),
        // (`run_once` does without batches.)
        "drain" => tokio::select! {
            ended = worker.run() => ended?,
            ended = drained(&pool, "SELECT count(*) FROM graphile_worker.jobs") => ended?,
        },
        _ => tokio::select! {
            ended = worker.run() => ended?,
            ended = terminated() => ended?,
        },
    }
    report()
}

//! graphile_worker's side of drain.py, the one in Rust: one native task that does nothing.
//!
//! `drain` runs until the queue is empty; else until SIGTERM. What it measured is one line of JSON on stdout at the end.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use graphile_worker::{IntoTaskHandlerResult, LocalQueueConfig, TaskHandler, WorkerContext, WorkerOptions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::signal::unix::{SignalKind, signal};

type Error = Box<dyn std::error::Error + Send + Sync>;

static FIRST: OnceLock<Instant> = OnceLock::new();
static CALLS: AtomicI64 = AtomicI64::new(0);
static WAITS: Mutex<Vec<f64>> = Mutex::new(Vec::new());

/// Enqueued one by one, jobs bear the time at which the transaction of their INSERT began, in milliseconds.
#[derive(Deserialize, Serialize)]
struct Hello {
    at: Option<f64>,
}

impl TaskHandler for Hello {
    const IDENTIFIER: &'static str = "hello";

    async fn run(self, _context: WorkerContext) -> impl IntoTaskHandlerResult {
        FIRST.get_or_init(Instant::now);
        if let (Some(at), Ok(now)) = (self.at, SystemTime::UNIX_EPOCH.elapsed()) {
            WAITS.lock().expect("nobody panics").push(now.as_secs_f64() * 1_000.0 - at);
        }
        CALLS.fetch_add(1, Ordering::Relaxed);
        Ok::<(), String>(())
    }
}

/// Until all jobs that are there now have been called and their rows are gone. (`run_once` does without batches.)
async fn drained(pool: PgPool) -> Result<(), Error> {
    let left = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM graphile_worker.jobs").fetch_one(&pool).await;
    let jobs = left().await?;
    while CALLS.load(Ordering::Relaxed) < jobs || left().await? > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
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
        "drain" => tokio::select! {
            ended = worker.run() => ended?,
            ended = drained(pool) => ended?,
        },
        _ => {
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                ended = worker.run() => ended?,
                _ = terminated.recv() => {}
            }
        }
    }
    let seconds = FIRST.get().map(|first| first.elapsed().as_secs_f64());
    println!("{}", json!({ "seconds": seconds, "waits": *WAITS.lock().expect("nobody panics") }));
    std::process::exit(0)
}

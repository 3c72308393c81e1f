//! What each peer in Rust tells drain.py: how long its handlers took to run all jobs, and how long each job waited for its call.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use tokio::signal::unix::{SignalKind, signal};

pub type Error = Box<dyn std::error::Error + Send + Sync>;

static FIRST: OnceLock<Instant> = OnceLock::new();
static CALLS: AtomicI64 = AtomicI64::new(0);
static WAITS: Mutex<Vec<f64>> = Mutex::new(Vec::new());

/// The payload of a job. Enqueued one by one, jobs bear the time at which the transaction of their INSERT began, in milliseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Payload {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
}

/// The handler: it notes that it was called, and does nothing else.
pub fn called(payload: &Payload) {
    FIRST.get_or_init(Instant::now);
    if let (Some(at), Ok(now)) = (payload.at, SystemTime::UNIX_EPOCH.elapsed()) {
        WAITS.lock().expect("nobody panics").push(now.as_secs_f64() * 1_000.0 - at);
    }
    CALLS.fetch_add(1, Ordering::Relaxed);
}

/// Until all jobs that are there now have been called, and `left`, a statement that counts those that are not done, finds none.
pub async fn drained(pool: &PgPool, left: &'static str) -> Result<(), Error> {
    let left = async || sqlx::query_scalar::<_, i64>(left).fetch_one(pool).await;
    let jobs = left().await?;
    while CALLS.load(Ordering::Relaxed) < jobs || left().await? > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Until SIGTERM.
pub async fn terminated() -> Result<(), Error> {
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

/// What was measured, as one line of JSON on stdout; then the process ends.
pub fn report() -> ! {
    let seconds = FIRST.get().map(|first| first.elapsed().as_secs_f64());
    println!("{}", json!({ "seconds": seconds, "waits": *WAITS.lock().expect("nobody panics") }));
    std::process::exit(0)
}

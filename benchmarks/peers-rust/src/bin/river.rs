//! River's side of drain.py, its client in Rust: one native worker that does nothing.
//!
//! With BENCH_SQL, it reads a row and writes it, in a transaction.
//!
//! `install` runs its migrations, `enqueue N` inserts N jobs by its own bulk insert, `drain` ends when the queue is empty, `serve` at SIGTERM.

use std::sync::OnceLock;
use std::time::Duration;

use pgq_host_benchmarks_peers::{Error, Payload, called, drained, report, terminated};
use riverqueue::migrate::PostgresMigrator;
use riverqueue::{BoxError, Client, Job, JobArgs, QueueConfig, WorkContext, WorkOutcome, Workers};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

#[derive(Clone, Debug, Deserialize, JobArgs, Serialize)]
#[river(kind = "hello")]
struct Hello {
    #[serde(flatten)]
    payload: Payload,
}

async fn hello(_context: WorkContext, job: Job<Hello>) -> Result<WorkOutcome, BoxError> {
    called(&job.args.payload);
    if let Some(pool) = ACCOUNTS.get() {
        let mut transaction = pool.begin().await?;
        let account = job.row.id % 1000 + 1;
        sqlx::query_scalar::<_, i64>("SELECT balance FROM account WHERE id = $1").bind(account).fetch_one(&mut *transaction).await?;
        sqlx::query("UPDATE account SET balance = balance + 1 WHERE id = $1").bind(account).execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(WorkOutcome::Complete)
}

/// Ten connections for the handlers, as pgq-host has.
static ACCOUNTS: OnceLock<PgPool> = OnceLock::new();

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let pool = PgPoolOptions::new().max_connections(25).connect(&std::env::var("PGDSN")?).await?;
    if mode == "install" {
        PostgresMigrator::new(pool).migrate_up().await?;
        return Ok(());
    }
    if std::env::var_os("BENCH_SQL").is_some() {
        let accounts = PgPoolOptions::new().max_connections(10).connect(&std::env::var("PGDSN")?).await?;
        ACCOUNTS.set(accounts).expect("set once");
    }
    let mut workers = Workers::new();
    workers.add_fn(hello)?;
    // The settings with which River measures itself: many workers, and fetches that follow each other closely.
    let queue = QueueConfig::new(2_000).with_fetch_poll_interval(Duration::from_millis(20));
    let client = Client::builder(pool.clone())
        .fetch_cooldown(Duration::from_millis(2))
        .workers(workers)
        .queue("default", queue)
        .build()?;
    if mode == "enqueue" {
        let jobs: usize = arguments.next().ok_or("how many?")?.parse()?;
        let payload = Payload { name: "x".to_owned(), at: None };
        client.insert_many(vec![Hello { payload }; jobs]).await?;
        return Ok(());
    }
    let mut run = client.start()?;
    match mode.as_str() {
        "drain" => drained(&pool, "SELECT count(*) FROM river_job WHERE state <> 'completed'").await?,
        _ => terminated().await?,
    }
    run.stop().await?;
    report()
}

//! Measures how long a claim takes: a worker's own statement, over a worker's connection, including
//! its commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::environment::Environment;
use super::figures::{Figures, Measured};
use super::load;
use pgq_queue::{ConcurrencyLimit, Database, Queue};

/// Jobs per claim. As many must be available.
const BATCH: i64 = 10;
/// The time limit of a measurement: slow claims are measured fewer times.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const MIN_SAMPLES: i64 = 20;
/// The first claims plan their statement and read from disk.
const WARM_UP: i64 = 10;

const FORGET: &str = "DELETE FROM {queue} WHERE id = ANY($1)";

/// Which entrypoints to claim for.
pub(super) enum Target {
    /// All of these, which have no concurrency limit.
    Unlimited(Vec<String>),
    /// This one, which may run this many jobs at a time.
    Limited(String, u32),
}

/// Claim again and again, `samples` times.
pub(super) async fn measure(
    environment: &Environment,
    connection: &mut PgConnection,
    target: &Target,
    samples: i64,
    case: String,
) -> anyhow::Result<Measured> {
    let pool = Database::from(environment.source().clone()).connect().await?;
    let worker = Queue::new(pool.clone(), environment.names().clone());
    let served: Vec<Arc<str>> = match target {
        Target::Unlimited(entrypoints) => entrypoints.iter().map(|name| name.as_str().into()).collect(),
        Target::Limited(entrypoint, _) => vec![entrypoint.as_str().into()],
    };
    let max = usize::try_from(BATCH)?;
    let (begun, mut times) = (Instant::now(), Vec::new());
    for sample in 0..WARM_UP + samples {
        if begun.elapsed() > TIME_LIMIT && sample >= WARM_UP + MIN_SAMPLES {
            break;
        }
        // If a claim covered several entrypoints, it could take jobs of the backlog instead.
        let name = &served[usize::try_from(sample)? % served.len()];
        load::enqueue(connection, environment, &[name.to_string()], b"{}", BATCH).await?;
        let start = Instant::now();
        let jobs = match target {
            Target::Unlimited(_) => worker.claim(&served, max).await?,
            Target::Limited(_, concurrency) => {
                worker
                    .claim_limited(
                        &ConcurrencyLimit { entrypoint: Arc::clone(&served[0]), concurrency: *concurrency },
                        max,
                    )
                    .await?
            }
        };
        let took = start.elapsed();
        anyhow::ensure!(jobs.len() == max, "a claim took {} of {BATCH} jobs that are due", jobs.len());
        if sample >= WARM_UP {
            times.push(took);
        }
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        sqlx::query(environment.sql(FORGET)).bind(ids).execute(&mut *connection).await?;
    }
    pool.close().await;
    let figures = Figures::of(i64::try_from(times.len())?).with_times(times);
    Ok(Measured { case, timed: "a claim of 10", figures })
}

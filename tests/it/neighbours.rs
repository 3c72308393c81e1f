//! How much guests that compute for long delay the short jobs beside them.

use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Plugins, eventually};

/// Short jobs per round, all enqueued at once.
const JOBS: usize = 1_000;

/// The time until the last of them is done.
async fn drain(database: &Database) -> Duration {
    let done = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'echo' AND status = 'successful'";
    let all = database.count(done).await + JOBS as i64;
    database.enqueue_many("echo", JOBS, "x").await;
    let started = Instant::now();
    eventually("all are done", async || database.count(done).await == all).await;
    started.elapsed()
}

/// The best of five rounds, to exclude other load on the machine.
async fn best(database: &Database) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        best = best.min(drain(database).await);
    }
    best
}

#[tokio::test]
async fn short_jobs_do_not_wait_behind_long_ones() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let _host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "100"]).await;
    let quiet = best(&database).await;
    let spinners = 8 * std::thread::available_parallelism().unwrap().get();
    database.enqueue_many("spin_long", spinners, "").await;
    let running = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'spin_long' AND status = 'picked'";
    eventually("they all run", async || database.count(running).await == spinners as i64).await;
    // On equal terms, they would get one turn in nine on their threads, in every round. Other load
    // may have begun since, so rounds are repeated, as long as all spinners run.
    let mut beside = Duration::MAX;
    while beside >= 2 * quiet {
        beside = beside.min(drain(&database).await);
        let left = database.count(running).await;
        assert!(left == spinners as i64, "{quiet:?} became {beside:?}, and {left} of {spinners} spinners are left");
    }
}

#[tokio::test]
async fn an_entrypoint_with_long_runs_is_expected_to_have_more() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--log-level", "debug"]).await;
    for _ in 0..3 {
        let id = database.enqueue("spin", "").await;
        eventually("its first run is over", async || {
            database.count(&format!("SELECT count(*) FROM pgqueuer_attempt WHERE job_id = {id}")).await > 0
        })
        .await;
        database.execute(&format!("DELETE FROM pgqueuer WHERE id = {id}")).await;
    }
    let echo = database.enqueue("echo", "x").await;
    database.wait_for(echo, "successful").await;
    let log = host.stop().await;
    let began = |entrypoint: &str| {
        let begins =
            |line: &&str| line.contains("run begins") && line.contains(&format!("job.entrypoint={entrypoint} "));
        log.lines().filter(begins).map(|line| line.ends_with("long=true")).collect::<Vec<_>>()
    };
    assert_eq!(began("spin")[..3], [false, false, true], "{log}");
    assert_eq!(began("echo"), [false]);
}

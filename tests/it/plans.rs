//! What statements cost must not depend on what PostgreSQL believes about the queue: its statistics are as good as never true.

use pgq_host_tests::{Database, Host, Plugins, eventually};

const JOBS: i64 = 10_000;

/// Rows that were looked at, by any access path, for each job drained.
async fn rows_read_per_job(database: &Database) -> i64 {
    let mut read = 0;
    // A backend reports what it did when it ends; the host has ended by now.
    eventually("the host's work is in the statistics", async || {
        read = database.count("SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname = 'pgqueuer'").await;
        read >= 2 * JOBS
    })
    .await;
    read / JOBS
}

async fn drained(database: &Database, entrypoint: &str) -> i64 {
    let plugins = Plugins::with(&["hostile"]);
    database.enqueue_many(entrypoint, usize::try_from(JOBS).unwrap(), "x").await;
    database.execute("SELECT pg_stat_reset()").await;
    let mut host = Host::start(database, &plugins, &["--mode", "drain"]).await;
    assert!(host.ended().await.success(), "{}", host.log());
    rows_read_per_job(database).await
}

/// One look for the claim's choice, one for its update, one for the outcome, and some for rows that others held: not thousands.
const ENOUGH: i64 = 20;

#[tokio::test]
async fn a_job_that_becomes_due_just_after_a_look_is_not_slept_over() {
    let database = Database::new().await;
    let id = database.enqueue("echo", "x").await;
    database.execute(&format!("UPDATE pgqueuer SET execute_after = clock_timestamp() - interval '100 milliseconds' WHERE id = {id}")).await;
    let queue = database.queue();
    let second = std::time::Duration::from_secs(1);
    assert_eq!(queue.next_due([("echo", 10 * second)]).await.unwrap(), Some(std::time::Duration::ZERO), "it became due since the look");
    database.execute("UPDATE pgqueuer SET execute_after = clock_timestamp() - interval '1 hour'").await;
    assert_eq!(queue.next_due([("echo", second)]).await.unwrap(), None, "the look saw it, and left it for another reason");
    database.execute("UPDATE pgqueuer SET execute_after = clock_timestamp() + interval '1 hour'").await;
    assert!(queue.next_due([("echo", second)]).await.unwrap().unwrap() > 3_000 * second);
}

#[tokio::test]
async fn draining_reads_a_few_rows_per_job_after_statistics_of_an_empty_table() {
    for entrypoint in ["echo", "discard"] {
        let database = Database::new().await;
        database.execute("ALTER TABLE pgqueuer SET (autovacuum_enabled = off)").await;
        database.execute("VACUUM ANALYZE pgqueuer").await;
        let read = drained(&database, entrypoint).await;
        assert!(read < ENOUGH, "{read} rows read per {entrypoint}");
    }
}

#[tokio::test]
async fn draining_reads_a_few_rows_per_job_without_any_statistics() {
    let database = Database::new().await;
    database.execute("ALTER TABLE pgqueuer SET (autovacuum_enabled = off)").await;
    let read = drained(&database, "echo").await;
    assert!(read < ENOUGH, "{read} rows read per job");
}

//! The cost of statements must not depend on PostgreSQL's estimates about the queue, because its
//! statistics are practically never right.

use std::sync::Arc;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use pgq_queue::ConcurrencyLimit;
use sqlx::{Connection as _, Executor as _};

const JOBS: i64 = 10_000;

/// Rows read, by any access path, for each job drained.
async fn rows_read_per_job(database: &Database) -> i64 {
    let mut read = 0;
    // A backend reports its statistics when it ends, and the host has ended by now.
    eventually("the host's work is in the statistics", async || {
        read = database
            .count("SELECT (seq_tup_read + idx_tup_fetch)::bigint FROM pg_stat_user_tables WHERE relname = 'pgqueuer'")
            .await;
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

/// As after a vacuum of a queue that was empty at that moment and had been full: pages without
/// rows. The planner then expects no rows, however many come later.
async fn believed_empty(database: &Database) {
    database.execute("ALTER TABLE pgqueuer SET (autovacuum_enabled = off)").await;
    let tables =
        "oid = 'pgqueuer'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'pgqueuer'::regclass)";
    database.execute(&format!("UPDATE pg_class SET reltuples = 0, relpages = 1000 WHERE {tables}")).await;
}

/// One read for the claim's selection, one for its update, one for the outcome, and some for rows
/// that others held, but not thousands.
const ENOUGH: i64 = 20;

#[tokio::test]
async fn a_worker_does_not_sleep_past_a_job_that_becomes_due_just_after_a_claim() {
    let database = Database::new().await;
    let id = database.enqueue("echo", "x").await;
    database
        .execute(&format!(
            "UPDATE pgqueuer SET execute_after = clock_timestamp() - interval '100 milliseconds' WHERE id = {id}"
        ))
        .await;
    let queue = database.queue();
    let second = std::time::Duration::from_secs(1);
    assert_eq!(
        queue.next_due([("echo", Some(10 * second))]).await.unwrap(),
        Some(std::time::Duration::ZERO),
        "it became due since the look"
    );
    database.execute("UPDATE pgqueuer SET execute_after = clock_timestamp() - interval '1 hour'").await;
    assert_eq!(
        queue.next_due([("echo", Some(second))]).await.unwrap(),
        None,
        "the look saw it, and left it for another reason"
    );
    assert_eq!(queue.next_due([("echo", None)]).await.unwrap(), Some(std::time::Duration::ZERO), "a poll sees all");
    database.execute("UPDATE pgqueuer SET execute_after = '-infinity'").await;
    assert_eq!(queue.next_due([("echo", None)]).await.unwrap(), Some(std::time::Duration::ZERO));
    database.execute("UPDATE pgqueuer SET execute_after = clock_timestamp() + interval '1 hour'").await;
    assert!(queue.next_due([("echo", Some(second))]).await.unwrap().unwrap() > 3_000 * second);
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
async fn draining_reads_a_few_rows_per_job_while_the_queue_is_believed_to_be_empty() {
    for (entrypoint, runs) in [("echo", 1), ("discard", 1), ("fail", 2)] {
        let database = Database::new().await;
        believed_empty(&database).await;
        let read = drained(&database, entrypoint).await;
        assert!(read < runs * ENOUGH, "{read} rows read per {entrypoint}");
    }
}

#[tokio::test]
async fn draining_reads_a_few_rows_per_job_without_any_statistics() {
    let database = Database::new().await;
    database.execute("ALTER TABLE pgqueuer SET (autovacuum_enabled = off)").await;
    let read = drained(&database, "echo").await;
    assert!(read < ENOUGH, "{read} rows read per job");
}

/// How many index entries of the queue claims read, with `most` jobs each, until nothing was left,
/// and how many jobs that were.
async fn entries_read_by_claims(database: &Database, most: usize) -> (i64, i64) {
    database.execute("SELECT pg_stat_reset()").await;
    let worker = Database::at(database.dsn()).await;
    let queue = worker.queue();
    let (echo, mut claimed) = ([Arc::from("echo")], 0);
    loop {
        match queue.claim(&echo, most).await.unwrap().len() {
            0 => break,
            jobs => claimed += i64::try_from(jobs).unwrap(),
        }
    }
    worker.pool().close().await;
    (entries_read(database, claimed).await, claimed)
}

/// The index entries read, once the sessions that read them have ended: at least `least`.
async fn entries_read(database: &Database, least: i64) -> i64 {
    let mut read = 0;
    eventually("what was read is in the statistics", async || {
        read = database
            .count("SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes WHERE relname = 'pgqueuer'")
            .await;
        read >= least
    })
    .await;
    read
}

#[tokio::test]
async fn a_claim_does_not_read_what_is_deferred() {
    let database = Database::new().await;
    believed_empty(&database).await;
    // An insert reads no index. An update would be added to the statistics sooner or later.
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, execute_after)
             SELECT 0, 'echo', 'x', 'queued', now() + CASE WHEN n % 1000 = 0 THEN interval '0' ELSE interval '1 hour' END
             FROM generate_series(1, 20000) AS n",
        )
        .await;
    let (read, claimed) = entries_read_by_claims(&database, 500).await;
    assert_eq!(claimed, 20);
    assert!(read < 500, "{read} entries read for 20 jobs beside 19,980 deferred ones");
}

/// Each claim from the front reads past everything claimed before it, which no vacuum can remove
/// while the transaction lasts. With 50 claims of a hundred jobs, that is fifty entries and more
/// per job.
#[tokio::test]
async fn claims_beside_an_open_transaction_do_not_reread_dead_rows() {
    const JOBS: i64 = 5_000;
    let database = Database::new().await;
    let mut left_open = database.connect().await;
    left_open.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    left_open.execute("SELECT txid_current(), count(*) FROM pgqueuer_host").await.unwrap();
    database.enqueue_many("echo", usize::try_from(JOBS).unwrap(), "x").await;
    let (read, claimed) = entries_read_by_claims(&database, 100).await;
    left_open.close().await.unwrap();
    assert_eq!(claimed, JOBS);
    assert!(read < 20 * JOBS, "{read} entries read for {JOBS} jobs");
}

#[tokio::test]
async fn a_claim_of_an_entrypoint_with_a_limit_does_not_read_the_jobs_of_others() {
    let database = Database::new().await;
    believed_empty(&database).await;
    database.enqueue_many("echo", 5_000, "x").await;
    assert_eq!(database.queue().claim(&[Arc::from("echo")], 5_000).await.unwrap().len(), 5_000);
    database.enqueue_many("limited", 5, "x").await;
    database.enqueue_many("echo", 5_000, "x").await;
    let worker = Database::at(database.dsn()).await;
    let queue = worker.queue();
    let limited = ConcurrencyLimit { entrypoint: Arc::from("limited"), concurrency: 3 };
    let before = entries_read(&database, 5_000).await;
    assert_eq!(queue.claim_limited(&limited, 10).await.unwrap().len(), 3);
    worker.pool().close().await;
    let read = entries_read(&database, before + 3).await - before;
    assert!(read < 100, "{read} entries read for three jobs");
}

#[tokio::test]
async fn a_claim_for_a_slot_among_thousands_does_not_read_all_of_them_again() {
    let database = Database::new().await;
    believed_empty(&database).await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, slot, heartbeat, queue_manager_id)
             SELECT 0, 'limited', 'x', 'picked', n, now(), gen_random_uuid() FROM generate_series(0, 1989) AS n",
        )
        .await;
    database.enqueue_many("limited", 11, "x").await;
    let worker = Database::at(database.dsn()).await;
    let queue = worker.queue();
    let limited = ConcurrencyLimit { entrypoint: Arc::from("limited"), concurrency: 2_000 };
    for slot in 0..10 {
        assert_eq!(queue.claim_limited(&limited, 1).await.unwrap().len(), 1, "slot {slot} of ten");
    }
    assert!(queue.claim_limited(&limited, 1).await.unwrap().is_empty(), "all are taken");
    worker.pool().close().await;
    let read = entries_read(&database, 10).await;
    assert!(read < 3 * 2_000, "{read} entries read for ten jobs and in vain for one");
}

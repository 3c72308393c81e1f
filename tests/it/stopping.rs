//! How a host stops, and what happens to the jobs that it held.

use std::time::Instant;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Executor as _};

async fn running(database: &Database, count: i64) {
    eventually("the jobs run", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == count
    })
    .await;
}

#[tokio::test]
async fn sigterm_lets_running_jobs_end_and_claims_no_more() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "2"]).await;
    let ids = database.enqueue_many("nap", 4, "1000").await;
    // A claimed job has not necessarily started.
    eventually("two have started", async || host.log().matches("napping").count() == 2).await;
    let log = host.stop().await;
    for id in &ids[..2] {
        assert_eq!(database.history(*id).await, ["queued", "picked", "successful"], "{log}");
    }
    for id in &ids[2..] {
        assert_eq!(database.history(*id).await, ["queued"], "{log}");
    }
}

#[tokio::test]
async fn sigterm_passes_no_slot_on() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let ids = database.enqueue_many("nap_limited", 4, "1000").await;
    eventually("two have started", async || host.log().matches("napping").count() == 2).await;
    let log = host.stop().await;
    for id in &ids[..2] {
        assert_eq!(database.history(*id).await, ["queued", "picked", "successful"], "{log}");
    }
    for id in &ids[2..] {
        assert_eq!(database.history(*id).await, ["queued"], "{log}");
    }
}

#[tokio::test]
async fn a_job_that_is_handed_a_slot_during_a_stop_runs_or_is_requeued() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut host = Host::start(&database, &plugins, &[]).await;
    let ids = database.enqueue_many("nap_limited", 4, "500").await;
    running(&database, 2).await;
    let mut locking = database.connect().await;
    locking
        .execute(AssertSqlSafe(format!("BEGIN; SELECT FROM pgqueuer WHERE id = {} FOR UPDATE", ids[0])))
        .await
        .unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the outcome waits for the row", async || database.count(waiting).await > 0).await;
    host.signal(Signal::TERM);
    host.wait_for_log("stopping").await;
    locking.execute("COMMIT").await.unwrap();
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status <> 'queued'").await, 0, "{}", host.log());
    let passed_on = database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'picked'").await - 2;
    assert!(passed_on > 0, "{}", host.log());
}

#[tokio::test]
async fn after_the_drain_timeout_jobs_are_interrupted_and_released_uncounted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut host = Host::start(&database, &plugins, &["--drain-timeout", "0.2"]).await;
    // One waits in a host call, the other computes.
    let ids = [database.enqueue("nap", "3600000").await, database.enqueue("spin", "").await];
    database.execute("UPDATE pgqueuer SET attempts = 0").await;
    running(&database, 2).await;
    let signalled = Instant::now();
    host.signal(Signal::TERM);
    let status = host.ended().await;
    assert!(status.success(), "{status}\n{}", host.log());
    assert!(signalled.elapsed().as_secs() < 10, "it took {:?}", signalled.elapsed());
    assert_eq!(database.history(ids[0]).await, ["queued", "picked", "queued"]);
    let (status, attempts, owner): (String, i32, Option<uuid::Uuid>) =
        sqlx::query_as("SELECT status::text, attempts, queue_manager_id FROM pgqueuer WHERE id = $1")
            .bind(ids[0])
            .fetch_one(database.pool())
            .await
            .unwrap();
    assert_eq!((status.as_str(), attempts, owner), ("queued", 0, None));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_the_drain() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut host = Host::start(&database, &plugins, &["--drain-timeout", "3600"]).await;
    let id = database.enqueue("nap", "3600000").await;
    running(&database, 1).await;
    host.signal(Signal::INT);
    host.wait_for_log("stopping").await;
    host.signal(Signal::TERM);
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.history(id).await, ["queued", "picked", "queued"]);
}

#[tokio::test]
async fn a_guest_that_asks_is_told_to_stop_and_can_finish_properly() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("obedient", "").await;
    running(&database, 1).await;
    host.stop().await;
    assert_eq!(database.output(id).await.as_deref(), Some("ShuttingDown"));
}

#[tokio::test]
async fn drain_mode_ends_when_nothing_is_left_deferred_jobs_included() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.enqueue_many("echo", 100, "x").await;
    database.enqueue("snooze", "").await;
    database.enqueue("nobody_serves_this", "").await;
    let mut host = Host::start(&database, &plugins, &["--mode", "drain"]).await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 101);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 1, "what nobody here serves is left alone");
}

#[tokio::test]
async fn a_drain_waits_for_what_a_circuit_breaker_holds_back() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    plugins.write("pgq-host.toml", "[circuit-breaker]\nwindow = 10\ncrashes = 4\npause = \"0.5s\"\n");
    database.enqueue_many("panics", 10, "").await;
    let mut host =
        Host::start(&database, &plugins, &["--mode", "drain", "--max-concurrent-tasks", "1", "--batch-size", "1"])
            .await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert!(host.log().contains("held back by its circuit breaker"), "the breaker never opened: {}", host.log());
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await,
        10,
        "all were tried to the end"
    );
}

#[tokio::test]
async fn a_drain_waits_for_what_another_worker_holds() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let id = database.enqueue("nap", "1").await;
    database
        .execute("UPDATE pgqueuer SET status = 'picked', queue_manager_id = gen_random_uuid(), heartbeat = now()")
        .await;
    let mut host = Host::start(&database, &plugins, &["--mode", "drain"]).await;
    host.wait_for_log("the drain waits").await;
    assert!(host.log().contains("1 held by other workers"), "{}", host.log());
    // As if its worker was lost, so that this host runs it.
    database.execute("UPDATE pgqueuer SET status = 'queued', queue_manager_id = NULL").await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
}

#[tokio::test]
async fn a_drain_that_cannot_run_what_is_left_says_so_and_fails() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "hello"]));
    let id = database.enqueue("nap", "1").await;
    database.execute("UPDATE pgqueuer SET execute_after = now() + interval '1 hour'").await;
    let mut host = Host::start(&database, &plugins, &["--mode", "drain"]).await;
    host.wait_for_log("the drain waits").await;
    plugins.remove("hostile.wasm");
    assert_eq!(host.ended().await.code(), Some(1), "{}", host.log());
    assert!(host.log().contains("\"nap\": 1 queued, which no plugin serves any more"), "{}", host.log());
    assert_eq!(database.history(id).await, ["queued"]);
}

#[tokio::test]
async fn jobs_of_a_killed_host_run_again_elsewhere_and_are_charged_nothing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let lease = ["--heartbeat-timeout", "1"];
    let doomed = Host::start(&database, &plugins, &lease).await;
    let id = database.enqueue("nap", "2000").await;
    running(&database, 1).await;
    doomed.kill().await;
    let heir = Host::start(&database, &plugins, &lease).await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "successful"]);
    assert_eq!(database.output(id).await.as_deref(), Some("1"), "nobody knows that it failed");
    assert_eq!(database.traceback(id).await["exception_type"], "WorkerLost");
    eventually("it is no suspect any more", async || {
        database.count("SELECT count(*) FROM pgqueuer_suspect").await == 0
    })
    .await;
    heir.stop().await;
}

#[tokio::test]
async fn a_job_that_keeps_losing_its_worker_is_held_in_the_end() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "1"]).await;
    // Each of these has lost two workers while it ran alone, and its third last sent a heartbeat an
    // hour ago. One had not started there.
    for (id, claim) in [(1, "updated"), (2, "NULL")] {
        database
            .execute(&format!(
                "WITH job AS (
                     INSERT INTO pgqueuer (id, priority, entrypoint, payload, status, queue_manager_id, heartbeat)
                     VALUES ({id}, 0, 'nap', '1', 'picked', gen_random_uuid(), now() - interval '1 hour') RETURNING *)
                 INSERT INTO pgqueuer_suspect (job_id, worker, claim, alone, crashes) SELECT id, queue_manager_id, {claim}, true, 2 FROM job"
            ))
            .await;
    }
    database.wait_for(1, "failed").await;
    let traceback = database.traceback(1).await;
    let context = &traceback["additional_context"];
    assert_eq!(
        (&traceback["exception_type"], &context["crashes"], &context["max_crashes"]),
        (&"WorkerLost".into(), &3.into(), &3.into())
    );
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed' AND attempts = 0").await,
        1,
        "no run of it failed"
    );
    database.wait_for(2, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_by_the_host_that_made_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "1"]).await;
    let held = database.enqueue("nap", "3000").await;
    running(&database, 1).await;
    // The row has the host's id, but the host never learned of the claim.
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, queue_manager_id, heartbeat)
             SELECT 0, 'echo', 'x', 'picked', queue_manager_id, now() - interval '1 hour' FROM pgqueuer",
        )
        .await;
    database.wait_for(held + 1, "successful").await;
    database.wait_for(held, "successful").await;
    assert_eq!(database.history(held).await, ["queued", "picked", "successful"], "what it does hold is left alone");
    host.stop().await;
}

#[tokio::test]
async fn draining_ends_at_once_when_the_last_job_is_held() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.enqueue("reject", "no").await;
    let started = Instant::now();
    let mut host = Host::start(&database, &plugins, &["--mode", "drain", "--dequeue-timeout", "3600"]).await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert!(started.elapsed().as_secs() < 30, "only the poll ended it");
}

#[tokio::test]
async fn long_jobs_keep_their_lease_while_their_host_lives() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let lease = ["--heartbeat-timeout", "0.6"];
    let hosts = [Host::start(&database, &plugins, &lease).await, Host::start(&database, &plugins, &lease).await];
    let ids = database.enqueue_many("nap", 6, "2500").await;
    database.wait_until_done().await;
    for id in ids {
        assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    }
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_host_that_lost_a_job_to_another_worker_records_nothing_of_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "30"]).await;
    let id = database.enqueue("nap", "1000").await;
    running(&database, 1).await;
    // Another worker takes it over, as PgQueuer's workers do with jobs that they consider stale.
    database.execute("UPDATE pgqueuer SET queue_manager_id = gen_random_uuid(), heartbeat = now()").await;
    host.wait_for_log("left alone").await;
    assert_eq!(database.history(id).await, ["queued", "picked"]);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await, 1);
    host.stop().await;
}

#[tokio::test]
async fn a_lost_listener_heals_itself_or_ends_the_host_as_asked() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let polling = ["--dequeue-timeout", "3600"];
    let host = Host::start(&database, &plugins, &polling).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgq-host' AND query ~ '^LISTEN|^SELECT id, CASE' AND datname = current_database()";
    eventually("it listens", async || database.count(&cut.replace("pg_terminate_backend(pid)", "count(*)")).await == 1)
        .await;
    database.execute(cut).await;
    host.wait_for_log("listening again").await;
    // Only a notification can explain that this is picked up: the next poll is an hour away.
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    host.stop().await;

    let restarting = ["--shutdown-on-listener-failure", "--restart-on-failure", "--restart-delay", "0.1"];
    let phoenix = Host::start(&database, &plugins, &restarting).await;
    eventually("it listens", async || database.count(&cut.replace("pg_terminate_backend(pid)", "count(*)")).await == 1)
        .await;
    database.execute(cut).await;
    phoenix.wait_for_log("restart_in").await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    phoenix.stop().await;

    let mut strict = Host::start(&database, &plugins, &["--shutdown-on-listener-failure"]).await;
    eventually("it listens", async || database.count(&cut.replace("pg_terminate_backend(pid)", "count(*)")).await == 1)
        .await;
    database.execute(cut).await;
    assert_eq!(strict.ended().await.code(), Some(1), "{}", strict.log());
    assert!(strict.log().contains("listening connection was lost"));
}

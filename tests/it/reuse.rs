//! Instances that are reused for the next job, and jobs that run in batches.

use pgq_host_tests::{Database, Host, Plugins, eventually};

const ONE_AT_A_TIME: &[&str] = &["--max-concurrent-tasks", "1"];

/// Run one job with this payload. Returns its output, or the type in its newest traceback.
async fn run(database: &Database, entrypoint: &str, payload: &str) -> String {
    let id = database.enqueue(entrypoint, payload).await;
    over(database, id).await;
    match database.output(id).await {
        Some(output) => output,
        None => {
            let traceback = database.traceback(id).await;
            format!(
                "{}: {}",
                traceback["exception_type"].as_str().unwrap(),
                traceback["exception_message"].as_str().unwrap()
            )
        }
    }
}

async fn over(database: &Database, id: i64) {
    let left = format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status <> 'failed'");
    eventually("the job is over", async || database.count(&left).await == 0).await;
}

#[tokio::test]
async fn an_instance_is_kept_for_the_next_job_of_its_entrypoint_and_only_on_request() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let host = Host::start(&database, &plugins, ONE_AT_A_TIME).await;
    for _ in 0..3 {
        assert_eq!(run(&database, "fresh", "").await, "1");
    }
    for n in 1..=4 {
        assert_eq!(run(&database, "counter", "").await, n.to_string());
    }
    // With one slot, an instance of another entrypoint has to replace the idle one.
    assert_eq!(run(&database, "fresh", "").await, "1");
    assert_eq!(run(&database, "counter", "").await, "1", "it went, or the fresh one would have had no room");
    for n in [1, 2, 3, 1, 2, 3] {
        assert_eq!(run(&database, "counter3", "").await, n.to_string(), "three jobs per instance");
    }
    host.stop().await;
}

#[tokio::test]
async fn an_operator_can_have_a_fresh_instance_for_every_job() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    std::fs::write(plugins.config(), "[limits]\nreuse = 1\n").unwrap();
    let host = Host::start(&database, &plugins, ONE_AT_A_TIME).await;
    for _ in 0..3 {
        assert_eq!(run(&database, "counter", "").await, "1");
    }
    host.stop().await;
}

#[tokio::test]
async fn an_idle_instance_is_dropped() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let host = Host::start(&database, &plugins, &["--log-level", "debug"]).await;
    assert_eq!(run(&database, "counter", "").await, "1");
    assert_eq!(run(&database, "counter", "").await, "2");
    // After 30 s, which is how long the test takes.
    host.wait_for_log("dropped instances that had been idle for too long").await;
    assert_eq!(run(&database, "counter", "").await, "1");
    host.stop().await;
}

#[tokio::test]
async fn only_an_instance_that_ended_well_is_kept() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let host = Host::start(&database, &plugins, ONE_AT_A_TIME).await;
    assert_eq!(run(&database, "counter", "").await, "1");
    assert_eq!(run(&database, "counter", "fail").await, "Reject: 2", "a failure that the guest reports is a good end");
    assert_eq!(run(&database, "counter", "").await, "3");
    // The first attempt traps in the reused instance, the second runs in a fresh one.
    let trapped = run(&database, "counter", "panic").await;
    assert!(trapped.starts_with("Trap") && trapped.contains("as job 1"), "{trapped}");
    assert_eq!(run(&database, "counter", "").await, "1");
    assert_eq!(run(&database, "counter", "hog").await, "2 true", "refused memory, and went on");
    assert_eq!(run(&database, "counter", "").await, "1");
    host.stop().await;
}

#[tokio::test]
async fn counters_per_job_restart_and_leaks_add_up() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let host = Host::start(&database, &plugins, ONE_AT_A_TIME).await;
    // 600 KiB of log each, of the 1 MiB that a run may log.
    for n in 1..=3 {
        assert_eq!(run(&database, "counter", "log").await, n.to_string());
    }
    assert!(!host.log().contains("more than 1 MiB"), "each has all of it");
    assert_eq!(run(&database, "fresh", "").await, "1");
    for n in 1..=2 {
        assert_eq!(run(&database, "counter", "leak").await, n.to_string());
    }
    // The third exceeds the instance's 10,000 handles; the second attempt has a fresh one.
    let id = database.enqueue("counter", "leak").await;
    over(&database, id).await;
    assert_eq!(database.traceback(id).await["exception_type"], "HostError");
    assert_eq!(database.output(id).await.as_deref(), Some("1"));
    assert_eq!(run(&database, "counter", "").await, "2");
    host.stop().await;
}

#[tokio::test]
async fn instances_that_are_kept_never_keep_a_fresh_one_out() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "4"]).await;
    for _ in 0..5 {
        for entrypoint in ["counter", "fresh", "counter3", "fresh", "batch_kept"] {
            database.enqueue_many(entrypoint, 40, "slow-ish").await;
        }
        database.wait_until_done().await;
    }
    let all = database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await;
    let claims = database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'picked'").await;
    assert_eq!((all, claims), (1_000, 1_000), "no job had to be given back for want of an instance");
    host.stop().await;
}

/// Enqueue jobs in one statement while no host runs, so that one claim takes them all.
async fn batch(database: &Database, plugins: &Plugins, entrypoint: &str, payloads: &[&str]) -> (Vec<i64>, Host) {
    let mut ids = Vec::new();
    for payload in payloads {
        ids.push(database.enqueue(entrypoint, *payload).await);
    }
    let host = Host::start(database, plugins, &["--max-concurrent-tasks", "20"]).await;
    (ids, host)
}

/// The result of each: its status and its output, or the type in its traceback.
async fn fates(database: &Database, ids: &[i64]) -> Vec<String> {
    let mut fates = Vec::new();
    for id in ids {
        over(database, *id).await;
        fates.push(match database.output(*id).await {
            Some(output) => output,
            None => database.traceback(*id).await["exception_type"].as_str().unwrap().to_owned(),
        });
    }
    fates
}

#[tokio::test]
async fn jobs_of_a_claim_run_in_one_call_and_each_has_its_own_result() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let payloads = ["", "fail", "", "reject", "enqueue", ""];
    let (ids, host) = batch(&database, &plugins, "batch", &payloads).await;
    assert_eq!(fates(&database, &ids).await, ["6", "Retry", "6", "Reject", "Retry", "6"]);
    let refusal = database.traceback(ids[4]).await["exception_message"].as_str().unwrap().to_owned();
    assert!(refusal.contains("a batch cannot enqueue"), "{refusal}");
    host.wait_for_log(&format!("a batch job.id={} batch=6 job.entrypoint=batch", ids[0])).await;
    // At most ten at a time.
    database.enqueue_many("batch_kept", 25, "").await;
    database.wait_until_done().await;
    let most = "SELECT max(convert_from(output, 'UTF8')::int)::bigint FROM pgqueuer_output";
    assert!(database.count(most).await <= 10);
    host.stop().await;
}

#[tokio::test]
async fn a_bad_job_fails_alone_and_costs_the_others_of_its_batch_nothing() {
    for (bad, fate) in [("panic", "Trap"), ("spin", "DeadlineExceeded"), ("short", "BatchMismatch")] {
        let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
        let (ids, host) = batch(&database, &plugins, "batch", &["", bad, ""]).await;
        assert_eq!(fates(&database, &ids).await, ["1", fate, "1"], "{bad}");
        let history = database.history(ids[0]).await;
        assert!(
            !history.iter().any(|status| status == "exception" || status == "failed"),
            "{bad}: no attempt was counted: {history:?}"
        );
        host.stop().await;
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_leaves_its_batch_alone() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    let (ids, host) = batch(&database, &plugins, "batch_kept", &["wait", "", "wait"]).await;
    let running = "SELECT count(*) FROM pgqueuer WHERE status = 'picked'";
    eventually("they run", async || database.count(running).await == 3).await;
    database.cli_ok(&["cancel", &ids[0].to_string()]).await;
    assert_eq!(fates(&database, &ids[1..]).await, ["3", "Cancelled"]);
    assert_eq!(database.output(ids[0]).await, None);
    host.stop().await;
}

#[tokio::test]
async fn a_stop_releases_all_jobs_of_a_batch_and_counts_none() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["reuse"]));
    for _ in 0..3 {
        database.enqueue("batch_kept", "spin").await;
    }
    let host = Host::start(&database, &plugins, &["--drain-timeout", "0"]).await;
    let running = "SELECT count(*) FROM pgqueuer WHERE status = 'picked'";
    eventually("they run", async || database.count(running).await == 3).await;
    host.stop().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND attempts = 0").await, 3);
}

#[tokio::test]
async fn an_entrypoint_with_batches_needs_the_export() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["batch-lies", "hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("entrypoint \"lies\" takes batches, but the component does not export pgq:plugin/batch-handler")
        .await;
    host.stop().await;
}

//! The real PgQueuer (Python) and pgq-host on one queue: producers, command line, watchers and
//! workers of one beside the other's.

use std::path::PathBuf;

use pgq_host_tests::{Database, Host, PATIENCE, Plugins, eventually, everything, host_binary, pgq, python};
use serde_json::{Value, json};
use tokio::process::Command;

/// Only a notification can make the host act within the time limit of a test: its next poll is an
/// hour away.
const NO_POLLING: [&str; 2] = ["--dequeue-timeout", "3600"];

fn programs() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"))
}

async fn hosted(args: &[&str]) -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, args).await;
    (database, plugins, host)
}

/// The output of a command that must succeed.
async fn run_command(mut command: Command) -> String {
    let output = command.output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// One of the programs in tests/interop.
async fn program(database: &Database, name: &str, args: &[&str]) -> Value {
    let mut command = Command::new(python());
    command.arg(programs().join(name)).args(args).env("PGDSN", database.dsn()).kill_on_drop(true);
    serde_json::from_str(&run_command(command).await).unwrap()
}

/// PgQueuer's command line.
async fn cli(database: &Database, args: &[&str]) -> String {
    let mut command = pgq(&database.dsn());
    command.args(args);
    run_command(command).await
}

async fn cli_json(database: &Database, args: &[&str]) -> Value {
    serde_json::from_str(&cli(database, args).await).unwrap()
}

async fn enqueue(database: &Database, jobs: &Value) -> Value {
    program(database, "enqueue.py", &[&jobs.to_string()]).await
}

fn ids(enqueued: &Value) -> Vec<i64> {
    enqueued["ids"].as_array().unwrap_or_else(|| panic!("{enqueued}")).iter().map(|id| id.as_i64().unwrap()).collect()
}

async fn running(database: &Database, count: i64) {
    eventually("the jobs run", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == count
    })
    .await;
}

/// A Python worker for these entrypoints. It is ready when it has run a job.
async fn python_worker(database: &Database, entrypoints: &[&str]) -> Host {
    database.execute("CREATE TABLE IF NOT EXISTS python_ran (job_id bigint NOT NULL)").await;
    let mut command = pgq(&database.dsn());
    command
        .args(["run", "worker:main", "--log-level", "WARNING", "--", "python_ready"])
        .args(entrypoints)
        .current_dir(programs());
    let worker = Host::launch(command);
    let ready = database.enqueue("python_ready", "").await;
    let mut last = String::new();
    eventually("the Python worker serves", async || {
        assert!(!worker.log().contains("Traceback"), "{}", worker.log());
        last = database.history(ready).await.pop().unwrap_or_default();
        last == "successful"
    })
    .await;
    database.execute("TRUNCATE pgqueuer_log, pgqueuer_statistics, python_ran").await;
    worker
}

#[tokio::test]
async fn a_job_from_pgqueuers_client_reaches_the_handler_complete() {
    let (database, _plugins, host) = hosted(&NO_POLLING).await;
    let job =
        json!({ "entrypoint": "show", "payload": "héllo", "priority": 7, "headers": { "trace": "abc", "lang": "de" } });
    let bare = json!({ "entrypoint": "show", "payload": "" });
    let ids = ids(&enqueue(&database, &json!([job, bare])).await);
    for id in &ids {
        database.wait_for(*id, "successful").await;
        assert_eq!(database.history(*id).await, ["queued", "picked", "successful"]);
    }
    let shown: Vec<Value> = [database.output(ids[0]).await, database.output(ids[1]).await]
        .into_iter()
        .map(|output| serde_json::from_str(&output.unwrap()).unwrap())
        .collect();
    assert_eq!(
        shown[0],
        json!({ "payload": "héllo", "priority": 7, "attempt": 1, "headers": { "trace": "abc", "lang": "de" } })
    );
    assert_eq!(shown[1], json!({ "payload": "", "priority": 0, "attempt": 1, "headers": {} }));
    host.stop().await;
}

#[tokio::test]
async fn priority_delay_and_dedupe_key_of_pgqueuers_client_are_obeyed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let low = json!({ "entrypoint": "nap", "payload": "20" });
    let high = json!({ "entrypoint": "nap", "payload": "20", "priority": 5 });
    let urgent = ids(&enqueue(&database, &json!([low, high, low])).await)[1];
    let deferred = json!([{ "entrypoint": "echo", "payload": "later", "delay": 1.0, "dedupe_key": "once" }]);
    let later = ids(&enqueue(&database, &deferred).await)[0];
    assert_eq!(enqueue(&database, &deferred).await, json!({ "duplicate": ["once"] }));

    let one_at_a_time = ["--dequeue-timeout", "3600", "--max-concurrent-tasks", "1"];
    let host = Host::start(&database, &plugins, &one_at_a_time).await;
    database.wait_until_done().await;
    let first = database
        .count("SELECT job_id FROM pgqueuer_log WHERE status = 'picked' AND entrypoint = 'nap' ORDER BY id LIMIT 1")
        .await;
    assert_eq!(first, urgent);
    let waited = database
        .count(&format!(
            "SELECT (extract(epoch FROM max(created) FILTER (WHERE status = 'picked') - min(created)) * 1000)::bigint
             FROM pgqueuer_log WHERE job_id = {later}"
        ))
        .await;
    assert!(waited >= 1000, "{waited} ms");
    // The key is free again.
    let again = ids(&enqueue(&database, &deferred).await)[0];
    database.wait_for(again, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn pgq_queue_enqueues_what_pgq_host_runs() {
    let (database, _plugins, host) = hosted(&NO_POLLING).await;
    let said = cli(&database, &["queue", "echo", "from the shell", "--dedupe-key", "shell"]).await;
    let id: i64 = said
        .trim()
        .trim_start_matches("Enqueued job ")
        .trim_end_matches('.')
        .parse()
        .unwrap_or_else(|_| panic!("{said}"));
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await.as_deref(), Some("from the shell"));
    // Without a payload, the column is SQL NULL, which `echo` cannot take: a failure of the
    // handler, not of the host.
    cli(&database, &["queue", "echo"]).await;
    database.wait_for(id + 1, "failed").await;
    cli(&database, &["verify", "--expect", "present"]).await;
    host.stop().await;
}

#[tokio::test]
async fn pgq_failed_lists_what_pgq_host_holds_and_pgq_requeue_runs_it_again() {
    let (database, _plugins, host) = hosted(&NO_POLLING).await;
    let job = json!({ "entrypoint": "fail", "payload": "no luck", "priority": 2, "headers": { "a": "b" } });
    let id = ids(&enqueue(&database, &json!([job])).await)[0];
    database.wait_for(id, "failed").await;
    let failed = cli_json(&database, &["failed", "--json"]).await;
    assert_eq!(failed.as_array().map(Vec::len), Some(1), "{failed}");
    for (key, value) in [
        ("id", json!(id)),
        ("entrypoint", json!("fail")),
        ("status", json!("failed")),
        ("priority", json!(2)),
        ("attempts", json!(2)),
        ("payload_bytes", json!(7)),
        ("queue_manager_id", Value::Null),
        ("slot", Value::Null),
        ("headers", json!({ "a": "b" })),
    ] {
        assert_eq!(failed[0][key], value, "{key} in {failed}");
    }
    let once = ["queued", "picked", "queued", "picked", "failed"];
    assert_eq!(database.history(id).await, once);
    cli(&database, &["requeue", &id.to_string()]).await;
    // Requeueing resets the attempts, so it fails as often as before.
    let again = [once, once].concat();
    let ran =
        tokio::time::timeout(PATIENCE / 2, eventually("it ran again", async || database.history(id).await == again))
            .await;
    assert!(ran.is_ok(), "{:?}\n{}", database.history(id).await, host.log());
    host.stop().await;
}

#[tokio::test]
async fn pgq_workers_stale_and_backlog_show_what_pgq_host_does() {
    let (database, _plugins, host) = hosted(&NO_POLLING).await;
    let nap = database.enqueue("nap", "3600000").await;
    database.enqueue_many("nobody_serves_this", 3, "x").await;
    running(&database, 1).await;
    let owner: uuid::Uuid = sqlx::query_scalar("SELECT queue_manager_id FROM pgqueuer WHERE id = $1")
        .bind(nap)
        .fetch_one(database.pool())
        .await
        .unwrap();

    let workers = cli_json(&database, &["workers", "--json"]).await;
    assert_eq!(workers.as_array().map(Vec::len), Some(1), "{workers}");
    assert_eq!(workers[0]["queue_manager_id"], json!(owner.to_string()));
    assert_eq!((&workers[0]["active_jobs"], &workers[0]["entrypoints"]), (&json!(1), &json!(["nap"])));

    assert_eq!(cli_json(&database, &["stale", "--json"]).await, json!([]), "it is not stale");
    let stale = cli_json(&database, &["stale", "--threshold", "0", "--json"]).await;
    assert_eq!((&stale[0]["id"], &stale[0]["queue_manager_id"]), (&json!(nap), &json!(owner.to_string())), "{stale}");

    let backlog = cli_json(&database, &["backlog", "--json"]).await;
    assert_eq!(backlog.as_array().map(Vec::len), Some(1), "a running job is no backlog: {backlog}");
    assert_eq!((&backlog[0]["entrypoint"], &backlog[0]["queued_count"]), (&json!("nobody_serves_this"), &json!(3)));

    program(&database, "cancel.py", &[&nap.to_string()]).await;
    host.stop().await;
}

#[tokio::test]
async fn a_completion_watcher_hears_how_a_job_of_pgq_host_ended() {
    let (database, _plugins, host) = hosted(&NO_POLLING).await;
    let ended = program(&database, "watch.py", &["echo", "discard", "fail_deleted"]).await;
    assert_eq!(ended, json!({ "echo": "successful", "discard": "canceled", "fail_deleted": "exception" }));
    host.stop().await;
}

#[tokio::test]
async fn pgqueuers_readers_read_all_that_pgq_host_writes() {
    let (database, _plugins, host) = hosted(&[]).await;
    // Every end of a job that leaves something in a row or in the log, including odd characters and
    // backtraces.
    let ends = [
        ("echo", "successful", None),
        ("discard", "canceled", Some("Discard")),
        ("fail_deleted", "exception", Some("Retry")),
        ("fail", "failed", Some("Retry")),
        ("reject", "failed", Some("Reject")),
        ("nul", "failed", Some("Retry")),
        ("panics", "failed", Some("Trap")),
        ("spin", "failed", Some("DeadlineExceeded")),
    ];
    let mut jobs = Vec::new();
    for (entrypoint, status, exception_type) in ends {
        jobs.push((database.enqueue(entrypoint, "text").await, entrypoint, status, exception_type));
    }
    for (id, _, status, _) in &jobs {
        database.wait_for(*id, status).await;
    }
    // The host counts what it wrote within about a second. PgQueuer's readers count the rest of the
    // log themselves.
    eventually("the host has counted", async || database.count("SELECT count(*) FROM pgqueuer_tally").await == 0).await;
    let read = program(&database, "read.py", &[]).await;
    for (id, entrypoint, status, exception_type) in &jobs {
        let history = read["history"][id.to_string()].as_array().unwrap();
        let last = history.last().unwrap();
        assert_eq!((&last["status"], &last["entrypoint"]), (&json!(status), &json!(entrypoint)), "{history:?}");
        let traceback = &last["traceback"];
        let Some(exception_type) = exception_type else {
            assert_eq!(*traceback, Value::Null);
            continue;
        };
        assert_eq!(
            (&traceback["job_id"], &traceback["exception_type"]),
            (&json!(id), &json!(exception_type)),
            "{traceback}"
        );
        assert_eq!(traceback["additional_context"]["entrypoint"], json!(entrypoint), "{traceback}");
        // The entry for a retry has the same fields as PgQueuer's own.
        if *entrypoint == "fail" {
            let context = &history[2]["traceback"]["additional_context"];
            assert_eq!(
                (&history[2]["status"], &context["attempt"], &context["reason"]),
                (&json!("queued"), &json!(1), &json!("text"))
            );
            assert!(context["retry_delay"].as_str().is_some_and(|delay| delay.starts_with("0:00:00")), "{context}");
        }
    }
    let count = |name: &str| read[name].as_array().unwrap().len();
    assert_eq!((count("exceptions"), count("failed"), count("queue")), (1, 5, 5), "{read}");
    assert_eq!(count("tables"), 4, "the tables that PgQueuer knows of: {}", read["tables"]);
    let total = |entrypoint: &str, status: &str| {
        let rows = read["throughput"].as_array().unwrap().iter();
        rows.filter(|row| row["entrypoint"] == entrypoint && row["status"] == status)
            .map(|row| row["total_count"].as_i64().unwrap())
            .sum::<i64>()
    };
    assert_eq!((total("echo", "successful"), total("fail", "picked"), total("panics", "failed")), (1, 2, 1));
    let metrics = read["metrics"].to_string();
    assert!(metrics.contains("pgqueuer_logs_count") && metrics.contains("fail_deleted"), "{metrics}");
    assert!(
        read["durations"].as_array().unwrap().iter().any(|row| row["entrypoint"] == "echo"),
        "{}",
        read["durations"]
    );
    host.stop().await;
}

#[tokio::test]
async fn pgqueuers_cancel_removes_a_queued_job() {
    let (database, _plugins, host) = hosted(&[]).await;
    let job = json!([{ "entrypoint": "echo", "payload": "never", "delay": 3600, "dedupe_key": "k" }]);
    let id = ids(&enqueue(&database, &job).await)[0];
    program(&database, "cancel.py", &[&id.to_string()]).await;
    assert_eq!(database.history(id).await, ["queued", "canceled"]);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    let next = database.enqueue("echo", "goes on").await;
    database.wait_for(next, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn pgqueuers_cancel_interrupts_a_running_guest() {
    let (database, _plugins, host) = hosted(&["--max-concurrent-tasks", "1"]).await;
    let id = database.enqueue("nap", "3600000").await;
    running(&database, 1).await;
    let next = database.enqueue("echo", "goes on").await;
    program(&database, "cancel.py", &[&id.to_string()]).await;
    // The host has one slot, which the guest would have kept for an hour.
    database.wait_for(next, "successful").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "canceled"]);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    let log = host.stop().await;
    assert!(log.contains("cancelled while it ran"), "{log}");
    assert_eq!(database.history(id).await, ["queued", "picked", "canceled"], "the stop adds nothing");
}

#[tokio::test]
async fn a_python_worker_and_a_host_share_a_queue_and_neither_lose_nor_repeat_a_job() {
    // Batches as small as Python's, and `echo` first, so that both compete for the same rows all
    // the time.
    let (database, _plugins, host) = hosted(&["--batch-size", "10", "--max-concurrent-tasks", "10"]).await;
    let worker = python_worker(&database, &["python_only", "echo"]).await;
    let catalog = everything(&mut database.connect().await, "public").await;
    for (entrypoint, count) in [("echo", 3000), ("python_only", 500), ("show", 500)] {
        database.enqueue_many(entrypoint, count, "x").await;
    }
    database.wait_until_done().await;
    let odd = database
        .count(
            "SELECT count(*) FROM (
                 SELECT job_id FROM pgqueuer_log GROUP BY job_id
                 HAVING array_agg(status::text ORDER BY id) <> ARRAY['queued', 'picked', 'successful']) AS odd",
        )
        .await;
    assert_eq!(odd, 0, "each job was queued, picked, and done, once");
    let by_python = database.count("SELECT count(*) FROM python_ran").await;
    let by_host = database.count("SELECT count(*) FROM pgqueuer_output").await;
    let by_both = database.count("SELECT count(*) FROM python_ran JOIN pgqueuer_output USING (job_id)").await;
    let by_python_again = database.count("SELECT count(*) - count(DISTINCT job_id) FROM python_ran").await;
    assert_eq!((by_both, by_python_again), (0, 0));
    assert_eq!(by_python + by_host, 4000);
    eprintln!("mixed fleet: of 3,000 jobs that both serve, Python ran {}, pgq-host {}", by_python - 500, by_host - 500);
    assert!(by_python > 500 && by_host > 500, "both had a share of what both serve");
    worker.stop().await;
    host.stop().await;
    assert_eq!(everything(&mut database.connect().await, "public").await, catalog, "neither changed the schema");
    // Whoever counted it, each transition is in the statistics exactly once.
    while !database.queue().aggregate(1000, 1000).await.unwrap().is_nothing() {}
    let counted = database.count("SELECT sum(count)::bigint FROM pgqueuer_statistics").await;
    assert_eq!(counted, database.count("SELECT count(*) FROM pgqueuer_log").await);
}

#[tokio::test]
async fn a_job_that_runs_in_python_is_cancelled_by_pgq_host() {
    let database = Database::new().await;
    let worker = python_worker(&database, &["nap=5"]).await;
    let id = database.enqueue("nap", "3600000").await;
    running(&database, 1).await;
    let mut cancel = Command::new(host_binary());
    cancel.args(["cancel", &id.to_string()]).env("PGDSN", database.dsn());
    run_command(cancel).await;
    assert_eq!(database.history(id).await, ["queued", "picked", "canceled"]);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    let next = database.enqueue("nap", "1").await;
    database.wait_for(next, "successful").await;
    // PgQueuer's handler does not notice, and at a stop PgQueuer would wait an hour for it.
    worker.kill().await;
}

#[tokio::test]
async fn a_python_worker_and_a_host_share_one_limit() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let worker = python_worker(&database, &["nap_limited=2"]).await;
    let catalog = everything(&mut database.connect().await, "public").await;
    database.enqueue_many("nap_limited", 60, "20").await;
    // Python first: at a saturated limit, its 22 jobs/s leave the host enough to do.
    eventually("Python runs", async || database.count("SELECT count(*) FROM python_ran").await >= 4).await;
    let host = Host::start(&database, &plugins, &[]).await;
    database.wait_until_done().await;
    assert_eq!(database.most_at_once("nap_limited").await, 2);
    let (by_python, by_host) = (
        database.count("SELECT count(*) FROM python_ran").await,
        database.count("SELECT count(*) FROM pgqueuer_output").await,
    );
    eprintln!("shared limit: Python ran {by_python}, pgq-host {by_host}");
    assert!(by_python > 0 && by_host > 0 && by_python + by_host == 60, "Python ran {by_python}, pgq-host {by_host}");
    worker.stop().await;
    host.stop().await;
    assert_eq!(everything(&mut database.connect().await, "public").await, catalog, "neither changed the schema");
}

#[tokio::test]
async fn each_takes_over_the_others_jobs_when_it_dies() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("CREATE TABLE python_ran (job_id bigint NOT NULL)").await;
    let lease = ["--heartbeat-timeout", "1", "--dequeue-timeout", "1"];
    let python = || {
        let mut command = pgq(&database.dsn());
        command.args(["run", "worker:main"]).args(lease).args(["--", "nap=5"]).current_dir(programs());
        Host::launch(command)
    };
    let hours = database.enqueue("nap", "3600000").await;
    let worker = python();
    running(&database, 1).await;
    let owner = "SELECT queue_manager_id::text FROM pgqueuer WHERE status = 'picked'";
    let owner = async || sqlx::query_scalar::<_, String>(owner).fetch_optional(database.pool()).await.unwrap();
    let first = owner().await;
    worker.kill().await;

    let host = Host::start(&database, &plugins, &lease).await;
    eventually("the host runs it", async || owner().await.is_some_and(|owner| Some(owner) != first)).await;
    assert_eq!(database.history(hours).await, ["queued", "picked", "queued", "picked"], "it goes back into the queue");
    assert_eq!(database.count("SELECT attempts::bigint FROM pgqueuer").await, 0, "and is charged with nothing");
    let second = owner().await;
    host.kill().await;

    let _worker = python();
    eventually("Python runs it", async || owner().await.is_some_and(|owner| Some(owner) != second)).await;
    assert_eq!(
        database.history(hours).await,
        ["queued", "picked", "queued", "picked", "picked"],
        "PgQueuer takes over in place"
    );
}

//! The verbs for operators: the same answers as the real PgQueuer's on the same database, and
//! better ones where those are wrong.

use pgq_host_tests::{Database, Host, Plugins, eventually, pgq, pgq_host, run_command};
use serde_json::{Value, json};

/// PgQueuer's command line.
async fn theirs(database: &Database, args: &[&str]) -> Value {
    let mut command = pgq(&database.dsn());
    command.args(args);
    let said = run_command(command).await;
    assert_eq!(said.code, 0, "pgq {args:?}: {said:?}");
    said.json()
}

async fn ours(database: &Database, args: &[&str]) -> Value {
    database.cli_ok(args).await.json()
}

/// How much older a job may be at the second of two calls.
const BETWEEN_CALLS: f64 = 120.0;

/// Whether both tell the same. Timestamps are compared as instants. Ages grow between two calls,
/// and may be rounded.
fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| alike(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| {
                    let Some(theirs) = theirs.get(key) else { return false };
                    match (ours.as_f64(), theirs.as_f64()) {
                        (Some(before), Some(after)) if key.contains("seconds") => {
                            (-1.0..BETWEEN_CALLS).contains(&(after - before))
                        }
                        _ => alike(ours, theirs),
                    }
                })
        }
        (Value::String(ours), Value::String(theirs)) => {
            let instant = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
            ours == theirs || instant(ours).is_some_and(|at| Some(at) == instant(theirs))
        }
        _ => ours == theirs,
    }
}

/// Jobs in every state, with everything that a row can hold.
async fn populated() -> Database {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, headers, attempts, queue_manager_id, slot, created, updated, heartbeat)
             SELECT n, 'e' || n % 3, CASE WHEN n % 4 > 0 THEN convert_to(repeat('ü', n), 'UTF8') END,
                    (CASE n % 3 WHEN 0 THEN 'failed' WHEN 1 THEN 'picked' ELSE 'queued' END)::pgqueuer_status,
                    CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN 'null' ELSE jsonb_build_object('n', n, 'deep', jsonb_build_array(1, 'x')) END,
                    n % 7, CASE WHEN n % 3 = 1 THEN ('00000000-0000-4000-8000-00000000000' || n % 2)::uuid END,
                    CASE WHEN n % 2 = 0 THEN n END,
                    now() - n * interval '600 seconds', now() - n * interval '1 second',
                    now() - n * interval '599.123456 seconds' + interval '60 seconds'
             FROM generate_series(1, 30) AS n",
        )
        .await;
    database
}

#[tokio::test]
async fn the_version_names_revision_engine_and_contract() {
    let run_cli = async |flag: &str| {
        let mut command = pgq_host("");
        command.arg(flag);
        run_command(command).await.stdout
    };
    let long = run_cli("--version").await;
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[0].starts_with(concat!("pgq-host ", env!("CARGO_PKG_VERSION"))), "{long}");
    assert!(lines[1].starts_with("wasmtime 48.") && lines[2] == "pgq:plugin 0.1.0", "{long}");
    assert_eq!(run_cli("-V").await.trim_end(), lines[0]);
    // In a repository, it is a commit of that.
    let git = |args: &[&str]| {
        let told = std::process::Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        told.is_ok_and(|output| output.status.success())
    };
    if git(&["rev-parse", "HEAD"]) {
        let (_, revision) = lines[0].split_once('+').unwrap();
        assert!(revision.len() == 12 && git(&["cat-file", "-e", &format!("{revision}^{{commit}}")]), "{long}");
    }
}

#[tokio::test]
async fn json_is_pgqueuers_field_by_field() {
    let database = populated().await;
    for args in [
        &["failed", "--json"][..],
        &["failed", "--json", "-n", "3"],
        &["stale", "--json"],
        &["stale", "--json", "--threshold", "3600", "--limit", "2"],
        &["stale", "--json", "-t", "0.5", "-n", "100"],
        &["stale", "--json", "-t", "1000000"],
        &["workers", "--json"],
        &["backlog", "--json"],
    ] {
        let (mut ours, theirs) = (ours(&database, args).await, theirs(&database, args).await);
        // What we add comes last.
        for row in ours.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            let added = match args[0] {
                "failed" => row.remove("error"),
                "workers" => row.remove("host"),
                _ => Some(json!(null)),
            };
            assert!(added.is_some(), "{args:?}");
        }
        let keys = |value: &Value| value[0].as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&ours), keys(&theirs), "{args:?}");
        assert!(alike(&ours, &theirs), "{args:?}: {ours} and {theirs}");
    }
}

#[tokio::test]
async fn headers_that_are_not_an_object_are_listed_too() {
    let database = Database::new().await;
    let insert = "INSERT INTO pgqueuer (priority, entrypoint, status, headers) VALUES (0, 'e', 'failed', '[1, 2]')";
    database.execute(insert).await;
    assert_eq!(ours(&database, &["failed", "--json"]).await[0]["headers"], json!([1, 2]));
    let mut command = pgq(&database.dsn());
    command.args(["failed", "--json"]);
    assert_eq!(run_command(command).await.code, 1, "the real one cannot");
}

#[tokio::test]
async fn an_empty_queue_is_an_empty_array_or_a_line_on_stderr_and_exits_0() {
    let database = Database::new().await;
    for (verb, line) in [
        ("failed", "No failed jobs."),
        ("stale", "No stale jobs."),
        ("workers", "No worker holds a job."),
        ("backlog", "No queued jobs."),
        ("schedules", "No schedules."),
    ] {
        assert_eq!(ours(&database, &[verb, "--json"]).await, json!([]), "{verb}");
        let said = database.cli_ok(&[verb]).await;
        assert_eq!((said.stdout.as_str(), said.stderr.trim()), ("", line), "{verb}");
    }
    assert_eq!(database.cli_ok(&["requeue", "--all"]).await.stderr.trim(), "No failed jobs.");
}

#[tokio::test]
async fn tables_show_what_a_person_needs_and_no_control_characters() {
    let database = Database::new().await;
    let id = database.enqueue("bell\u{7}\u{1b}[2J", "12345").await;
    database.execute("UPDATE pgqueuer SET status = 'failed', attempts = 5").await;
    let traceback =
        json!({ "exception_type": "ValueError", "exception_message": format!("boom\n{}", "x".repeat(100)) });
    sqlx::query(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback) VALUES ($1, 'failed', 0, 'e', $2::text::jsonb)",
    )
    .bind(id)
    .bind(traceback.to_string())
    .execute(database.pool())
    .await
    .unwrap();
    let said = database.cli_ok(&["failed"]).await;
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    for part in [&id.to_string(), "bell\\x07\\x1b[2J", " 5 ", "ValueError: boom\\nxxx", "..."] {
        assert!(lines[2].contains(part), "{part} is missing: {said:?}");
    }
    assert!(!said.stdout.contains(['\u{7}', '\u{1b}']), "{said:?}");
}

/// A held job with this key.
async fn held(database: &Database, key: Option<&str>) -> i64 {
    let id = database.enqueue("work", "x").await;
    sqlx::query("UPDATE pgqueuer SET status = 'failed', attempts = 3, slot = 1, dedupe_key = $2 WHERE id = $1")
        .bind(id)
        .bind(key)
        .execute(database.pool())
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn requeue_reports_on_each_id_and_one_conflict_does_not_affect_others() {
    let database = Database::new().await;
    let (free, taken, first, second) = (
        held(&database, None).await,
        held(&database, Some("taken")).await,
        held(&database, Some("twice")).await,
        held(&database, Some("twice")).await,
    );
    let (queued, done) = (database.enqueue("work", "x").await, database.enqueue("work", "x").await);
    database.execute(&format!("UPDATE pgqueuer SET dedupe_key = 'taken' WHERE id = {queued}")).await;
    database.execute(&format!("DELETE FROM pgqueuer WHERE id = {done}")).await;
    database
        .execute(&format!(
            "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) VALUES ({done}, 'successful', 0, 'work')"
        ))
        .await;

    // The real one fails as a whole.
    let ids = [second, free, taken, first, queued, done, 999, free].map(|id| id.to_string());
    let mut command = pgq(&database.dsn());
    command.arg("requeue").args(&ids);
    assert_eq!(run_command(command).await.code, 1);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await, 4);

    let mut args = vec!["requeue", "--json"];
    args.extend(ids.iter().map(String::as_str));
    let said = database.run_cli(&args).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(
        said.json(),
        json!([
            { "id": second, "result": "dedupe_key_taken", "dedupe_key": "twice", "taken_by": first },
            { "id": free, "result": "requeued" },
            { "id": taken, "result": "dedupe_key_taken", "dedupe_key": "taken", "taken_by": queued },
            { "id": first, "result": "requeued" },
            { "id": queued, "result": "not_failed", "status": "queued" },
            { "id": done, "result": "not_found", "last_status": "successful" },
            { "id": 999, "result": "not_found", "last_status": null },
        ])
    );
    assert!(said.stderr.contains("Re-queued 2 of 7 job(s)."), "{said:?}");
    let fresh =
        "status = 'queued' AND attempts = 0 AND slot IS NULL AND queue_manager_id IS NULL AND execute_after <= now()";
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id IN ({free}, {first}) AND {fresh}")).await,
        2
    );
    assert_eq!(database.history(free).await, ["queued", "queued"]);
    assert_eq!(database.history(taken).await, ["queued"]);

    let said = database.run_cli(&["requeue", &taken.to_string()]).await;
    assert_eq!(
        (said.code, said.stdout.trim()),
        (1, format!("Job {taken}: not re-queued: its dedupe key \"taken\" now belongs to job {queued}.").as_str())
    );
}

#[tokio::test]
async fn requeue_of_an_entrypoint_or_of_all_handles_thousands() {
    let database = Database::new().await;
    database.enqueue_many("one", 2500, "x").await;
    database.enqueue_many("two", 10, "x").await;
    database.execute("UPDATE pgqueuer SET status = 'failed'").await;
    let said = database.cli_ok(&["requeue", "--entrypoint", "two"]).await;
    assert_eq!((said.stdout.as_str(), said.stderr.trim()), ("", "Re-queued 10 of 10 job(s)."));
    assert_eq!(database.cli_ok(&["requeue", "--all"]).await.stderr.trim(), "Re-queued 2500 of 2500 job(s).");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued'").await, 2510);
    for usage in [&["requeue"][..], &["requeue", "--all", "1"], &["requeue", "x"], &["cancel"]] {
        assert_eq!(database.run_cli(usage).await.code, 2, "{usage:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_taken_during_requeue_is_reported_and_is_not_an_error() {
    let database = Database::new().await;
    let id = held(&database, Some("k")).await;
    let mut other = database.pool().begin().await.unwrap();
    let (taker,): (i64,) = sqlx::query_as(
        "INSERT INTO pgqueuer (priority, entrypoint, status, dedupe_key) VALUES (0, 'e', 'queued', 'k') RETURNING id",
    )
    .fetch_one(&mut *other)
    .await
    .unwrap();
    let mut command = pgq_host(&database.dsn());
    command.args(["requeue", "--json", &id.to_string()]);
    let requeue = tokio::spawn(run_command(command));
    // Its first query found the key free. Its write waits for the other transaction.
    eventually("requeue waits for the key", async || {
        database.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = current_database()").await
            == 1
    })
    .await;
    other.commit().await.unwrap();
    let said = requeue.await.unwrap();
    assert_eq!(
        said.json(),
        json!([{ "id": id, "result": "dedupe_key_taken", "dedupe_key": "k", "taken_by": taker }]),
        "{said:?}"
    );
}

#[tokio::test]
async fn cancel_removes_queued_held_and_running_jobs_and_notifies_the_worker() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "1"]).await;
    let running = database.enqueue("nap", "3600000").await;
    eventually("it runs", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 1)
        .await;
    let (failed, queued, next) =
        (held(&database, None).await, database.enqueue("nap", "1").await, database.enqueue("echo", "on").await);
    let mut listener = sqlx::postgres::PgListener::connect_with(database.pool()).await.unwrap();
    listener.listen("ch_pgqueuer").await.unwrap();

    let ids = [running, failed, queued, 4711].map(|id| id.to_string());
    let said = database.run_cli(&["cancel", "--json", &ids[0], &ids[1], &ids[2], &ids[3]]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(
        said.json(),
        json!([
            { "id": running, "result": "canceled", "was": "picked" },
            { "id": failed, "result": "canceled", "was": "failed" },
            { "id": queued, "result": "canceled", "was": "queued" },
            { "id": 4711, "result": "not_found", "last_status": null },
        ])
    );
    let event: Value = loop {
        let event: Value = serde_json::from_str(listener.recv().await.unwrap().payload()).unwrap();
        if event["type"] == "cancellation_event" {
            break event;
        }
    };
    assert_eq!((&event["channel"], &event["ids"]), (&json!("ch_pgqueuer"), &json!([running, failed, queued, 4711])));
    for key in ["sent_at", "received_at"] {
        assert!(chrono::DateTime::parse_from_rfc3339(event[key].as_str().unwrap()).is_ok(), "{event}");
    }
    // The host has one slot, which the guest would have kept for an hour.
    database.wait_for(next, "successful").await;
    assert_eq!(database.history(running).await, ["queued", "picked", "canceled"]);
    assert_eq!(database.history(queued).await, ["queued", "canceled"]);
    assert!(host.stop().await.contains("cancelled while it ran"));

    let said = database.run_cli(&["cancel", &queued.to_string()]).await;
    assert_eq!(
        (said.code, said.stdout.trim()),
        (1, format!("Job {queued}: no longer exists; its log ends with canceled.").as_str())
    );
}

#[tokio::test]
async fn more_ids_than_fit_into_a_notification_are_cancelled() {
    let database = Database::new().await;
    let ids: Vec<String> = database.enqueue_many("work", 1000, "x").await.iter().map(ToString::to_string).collect();
    let mut args = vec!["cancel"];
    args.extend(ids.iter().map(String::as_str));
    assert!(database.cli_ok(&args).await.stderr.contains("Cancelled 1000 of 1000"));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
}

#[tokio::test]
async fn queue_handles_a_taken_key_in_three_ways() {
    let database = Database::new().await;
    let queue = ["queue", "work", "x", "--dedupe-key", "k", "--priority"];
    let with = |priority, mode| [&queue[..], &[priority, "--on-conflict", mode]].concat();
    let first = database.cli_ok(&with("5", "update_priority")).await.stdout;
    let id = database.count("SELECT id FROM pgqueuer").await;
    assert_eq!(first.trim(), format!("Enqueued job {id}."));
    let updated = "SELECT (extract(epoch FROM updated) * 1000000)::bigint FROM pgqueuer";
    let before = database.count(updated).await;
    for (asked, becomes) in [("3", 5), ("9", 9)] {
        let said = database.cli_ok(&with(asked, "update_priority")).await;
        assert_eq!(said.stdout.trim(), format!("Job {id} already has the dedupe key; its priority is now {becomes}."));
        assert_eq!(database.count("SELECT priority::bigint FROM pgqueuer").await, becomes);
    }
    assert_eq!(database.count(updated).await, before, "`updated` tells claims apart, and is left alone");
    assert_eq!(database.history(id).await, ["queued"], "only a new job is logged");
    let said = database.cli_ok(&with("1", "skip")).await;
    assert!(said.stdout.contains("Skipped"), "{said:?}");
    let said = database.run_cli(&with("1", "raise")).await;
    assert!(said.code == 1 && said.stderr.contains("dedupe key \"k\""), "{said:?}");
    assert_eq!(database.run_cli(&with("1", "replace")).await.code, 2);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 1);
}

#[tokio::test]
async fn schedules_are_listed_and_removed_by_id_or_entrypoint() {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, last_run) VALUES
             ('* * * * *', 'a', NULL), ('0 * * * *', 'a', now()), ('0 0 * * *', 'b', now() - interval '1 day'), ('1 1 * * *', 'c', NULL)",
        )
        .await;
    let listed = ours(&database, &["schedules", "--json"]).await;
    let column = |key: &str| listed.as_array().unwrap().iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(column("entrypoint"), ["b", "a", "a", "c"], "PgQueuer's order");
    assert_eq!(column("last_run")[2], Value::Null);
    let said = database.cli_ok(&["schedules", "--remove", "a", "-r", "3", "-r", "99", "-r", "nobody"]).await;
    assert_eq!(said.stdout.lines().count(), 3, "{said:?}");
    assert!(said.stdout.contains("1 1 * * *"), "{said:?}");
    for line in ["Removed 3 schedule(s).", "There is no schedule 99.", "There is no schedule of \"nobody\"."] {
        assert!(said.stderr.contains(line), "{said:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_schedules").await, 1);
}

#[tokio::test]
async fn listen_prints_what_comes_over_the_channel() {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    let database = Database::new().await;
    let mut command = pgq_host(&database.dsn());
    command.arg("listen").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut status = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(status.next_line().await.unwrap().unwrap(), "Listening on ch_pgqueuer; stop with Ctrl-C.");
    database.enqueue("work", "x").await;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let event: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&event["type"], &event["operation"]), (&json!("table_changed_event"), &json!("insert")));
    // A lost connection is not ignored.
    let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    assert_eq!(database.count(killed).await, 1);
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert!(status.next_line().await.unwrap().unwrap().contains("the listening connection is lost"));
}

/// The settings of every table, according to the catalog.
async fn reloptions(database: &Database) -> Vec<(String, Vec<String>)> {
    sqlx::query_as(
        "SELECT relname::text, coalesce((SELECT array_agg(o ORDER BY o) FROM unnest(reloptions) AS o), '{}') FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn autovac_sets_what_pgqueuers_does_and_undoes_it() {
    let (one, other) = (Database::new().await, Database::new().await);
    let before = reloptions(&one).await;
    one.cli_ok(&["autovac"]).await;
    let mut command = pgq(&other.dsn());
    command.arg("autovac");
    assert_eq!(run_command(command).await.code, 0);
    let tuned = reloptions(&one).await;
    assert_eq!(tuned, reloptions(&other).await);
    assert_ne!(tuned, before);
    one.cli_ok(&["autovac", "--rollback"]).await;
    assert_eq!(reloptions(&one).await, before);
    // The script does the same.
    other.cli_ok(&["autovac", "--rollback"]).await;
    other.execute(&other.cli_ok(&["sql", "autovac"]).await.stdout).await;
    assert_eq!(reloptions(&other).await, tuned);
    other.execute(&other.cli_ok(&["sql", "autovac", "--rollback"]).await.stdout).await;
    assert_eq!(reloptions(&other).await, before);
}

#[tokio::test]
async fn sql_durability_is_a_script_for_what_durability_does() {
    let database = Database::new().await;
    let persistence = async || {
        sqlx::query_as::<_, (String, String)>(
            "SELECT relname::text, relpersistence::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
        )
        .fetch_all(database.pool())
        .await
        .unwrap()
    };
    for level in ["volatile", "durable", "balanced"] {
        database.execute(&database.cli_ok(&["sql", "durability", level]).await.stdout).await;
        let by_script = persistence().await;
        database.cli_ok(&["durability", "durable"]).await;
        database.cli_ok(&["durability", level]).await;
        assert_eq!(persistence().await, by_script, "{level}");
    }
}

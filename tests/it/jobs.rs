//! Looking at jobs: one, and lists of them; what it shows, and what it reads for that.

use std::collections::BTreeSet;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{LOOK_STATEMENTS, session_settings};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

async fn json_of(database: &Database, args: &[&str]) -> Value {
    database.cli_ok(&[args, &["--json"]].concat()).await.json()
}

async fn job(database: &Database, id: i64) -> Value {
    json_of(database, &["job", &id.to_string()]).await
}

/// The ids of all pages of a list.
async fn all(database: &Database, args: &[&str]) -> Vec<i64> {
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut args = args.to_vec();
        if let Some(after) = &after {
            args.extend(["--after", after]);
        }
        let page = json_of(database, &args).await;
        found.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return found,
        }
    }
}

#[tokio::test]
async fn job_shows_row_payload_headers_runs_errors_and_log_of_a_held_job() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let queue =
        ["queue", "fail", "out of \u{1b}[2Jluck", "--header", "tenant=a\u{1b}]0;x", "--dedupe-key", "k\u{202e}"];
    database.cli_ok(&queue).await;
    let id = database.count("SELECT job_id FROM pgqueuer_log LIMIT 1").await;
    database.wait_for(id, "failed").await;
    let shown = job(&database, id).await;
    assert_eq!((&shown["status"], &shown["entrypoint"]), (&json!("failed"), &json!("fail")));
    let row = &shown["row"];
    assert_eq!((&row["attempts"], &row["headers"]["tenant"]), (&json!(2), &json!("a\u{1b}]0;x")), "{shown}");
    // It has a control character, so it is shown as what it is byte by byte.
    let hex: String = "out of \u{1b}[2Jluck".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(row["payload"], json!({ "bytes": 15, "cut": false, "hex": hex }));
    let runs = shown["attempts"].as_array().unwrap();
    assert_eq!(runs.len(), 2, "{shown}");
    for (run, number) in runs.iter().zip(1..) {
        assert_eq!((&run["attempt"], &run["plugin"]), (&json!(number), &json!("hostile")), "{run}");
        assert_eq!((&run["plugin_version"], run["plugin_sha256"].as_str().unwrap().len()), (&json!("1.2.3"), 64));
        assert!(run["elapsed_us"].as_i64().unwrap() > 0 && run["memory_bytes"].as_i64().unwrap() > 0, "{run}");
        assert!(run["host"].as_str().unwrap().ends_with(&format!(":{}", host.pid())), "{run}");
    }
    let log: Vec<&str> = shown["events"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert_eq!(log, ["queued", "picked", "queued", "picked", "failed"]);
    let last = &shown["events"][4]["traceback"];
    assert_eq!(last["exception_message"], "out of \u{1b}[2Jluck");

    let text = database.cli_ok(&["job", &id.to_string()]).await.stdout;
    for part in [
        "fail",
        "held",
        "tenant",
        "\"a\\u001b",
        "hexadecimal",
        "Error of run 2",
        "Retry: out of \\x1b[2Jluck",
        "hostile 1.2.3",
    ] {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{part} is missing:\n{text}");
    }
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{text}");
    // The payload alone is for programs.
    assert_eq!(database.cli_ok(&["job", &id.to_string(), "--payload"]).await.stdout, "out of \u{1b}[2Jluck");
    let listed = database.cli_ok(&["jobs", "--wide"]).await.stdout;
    assert!(listed.contains("Retry: out of \\x1b[2Jluck") && !listed.contains('\u{1b}'), "{listed}");
    let unknown = database.run_cli(&["job", "4711"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("4711"), "{unknown:?}");
    host.stop().await;
}

#[tokio::test]
async fn a_traceback_of_a_panic_has_the_guests_frames_and_a_job_that_left_is_found_in_the_log() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let (panics, echo) = (database.enqueue("panics", "").await, database.enqueue("echo", "{\"a\": 1}").await);
    database.wait_for(panics, "failed").await;
    database.wait_for(echo, "successful").await;
    let text = database.cli_ok(&["job", &panics.to_string()]).await.stdout;
    for part in ["Trap: ", "on purpose", "wasm backtrace", "pgq_plugin_sdk::plugin::Plugin::run"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let shown = job(&database, echo).await;
    assert_eq!((&shown["status"], &shown["row"]), (&json!("successful"), &Value::Null));
    assert_eq!(shown["output"]["json"], json!({ "a": 1 }));
    let text = database.cli_ok(&["job", &echo.to_string()]).await.stdout;
    assert!(text.contains("it has left the queue") && text.contains("{\"a\": 1}"), "{text}");
    let gone = database.run_cli(&["job", &echo.to_string(), "--payload"]).await;
    assert!(gone.code == 1 && gone.stderr.contains("not in the queue"), "{gone:?}");
    host.stop().await;
}

#[tokio::test]
async fn what_runs_is_shown_with_its_host_its_deadline_and_its_version() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("nap", "3600000").await;
    let waits = database.enqueue("nobody", "").await;
    eventually("it runs", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 1)
        .await;
    let page = json_of(&database, &["jobs", "--status", "picked"]).await;
    let (running, name) = (&page["jobs"][0], format!(":{}", host.pid()));
    assert_eq!((&running["id"], &page["next"]), (&json!(id), &Value::Null), "{page}");
    assert!(running["host"].as_str().unwrap().ends_with(&name), "{running}");
    let at = |key: &str| chrono::DateTime::parse_from_rfc3339(running[key].as_str().unwrap()).unwrap();
    assert_eq!((at("deadline") - at("updated")).num_seconds(), 300, "the default timeout: {running}");
    let sha256 = running["plugin_sha256"].as_str().unwrap();
    assert_eq!(all(&database, &["jobs", "--plugin", &sha256[..8]]).await, [id]);
    assert_eq!(all(&database, &["jobs", "--plugin", "00000000"]).await, [0; 0]);
    assert_eq!(all(&database, &["jobs"]).await, [waits, id]);
    let workers = json_of(&database, &["workers"]).await;
    assert!(workers[0]["host"].as_str().unwrap().ends_with(&name), "{workers}");
    let table = database.cli_ok(&["workers"]).await.stdout;
    assert!(table.contains(&name) && table.contains(running["queue_manager_id"].as_str().unwrap()), "{table}");
    let shown = job(&database, id).await;
    assert_eq!(shown["row"]["deadline"], running["deadline"]);
    assert_eq!(shown["row"]["host"], running["host"]);
    host.kill().await;
}

/// Jobs of two entrypoints, in every status, with priorities and headers.
async fn populated() -> Database {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, status, headers, created, updated, attempts)
             SELECT n % 4 - 1, 'e' || n % 2, (ARRAY['queued', 'picked', 'failed'])[1 + n % 3]::pgqueuer_status,
                    CASE n % 5 WHEN 0 THEN jsonb_build_object('tenant', 't' || n % 2, 'n', n) END,
                    now() - n * interval '1 minute', now() - n % 7 * interval '1 second', n % 3
             FROM generate_series(1, 90) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback, created)
             SELECT id, status, 0, entrypoint, jsonb_build_object('exception_type', 'E', 'exception_message', 'No luck ' || id,
                    'additional_context', jsonb_build_object('plugin_sha256', repeat('ab', 32))), now() - id * interval '1 minute'
             FROM pgqueuer WHERE status = 'failed';
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback, created)
             SELECT 1000 + n, (ARRAY['successful', 'exception'])[1 + n % 2]::pgqueuer_status, 0, 'e1',
                    CASE n % 2 WHEN 1 THEN '{\"exception_type\": \"E\", \"exception_message\": \"bad luck\"}'::jsonb END,
                    now() - n / 3 * interval '1 minute' FROM generate_series(1, 60) AS n",
        )
        .await;
    database
}

#[tokio::test]
async fn pages_together_have_every_job_once_however_few_rows_are_read_for_each() {
    let database = populated().await;
    let ids = async |sql: &str| -> Vec<i64> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(database.pool()).await.unwrap()
    };
    for (filter, sql) in [
        (&[][..], "SELECT id FROM pgqueuer ORDER BY id DESC"),
        (&["--status", "failed"], "SELECT id FROM pgqueuer WHERE status = 'failed' ORDER BY id DESC"),
        (&["--status", "queued"], "SELECT id FROM pgqueuer WHERE status = 'queued' ORDER BY id DESC"),
        (&["--status", "picked"], "SELECT id FROM pgqueuer WHERE status = 'picked' ORDER BY updated, id DESC"),
        (
            &["--status", "queued", "--entrypoint", "e1"],
            "SELECT id FROM pgqueuer WHERE status = 'queued' AND entrypoint = 'e1' ORDER BY priority DESC, id",
        ),
        (
            &["--status", "exception"],
            "SELECT job_id FROM pgqueuer_log WHERE status = 'exception' ORDER BY created DESC, id DESC",
        ),
        (&["--header", "tenant"], "SELECT id FROM pgqueuer WHERE headers ? 'tenant' ORDER BY id DESC"),
        (&["--header", "tenant=t1"], "SELECT id FROM pgqueuer WHERE headers ->> 'tenant' = 't1' ORDER BY id DESC"),
        (&["--header", "n=40"], "SELECT id FROM pgqueuer WHERE headers ->> 'n' = '40'"),
        (
            &["--error", "NO LUCK 8"],
            "SELECT job_id FROM pgqueuer_log WHERE traceback ->> 'exception_message' LIKE 'No luck 8%' ORDER BY job_id DESC",
        ),
        (&["--plugin", "abab"], "SELECT id FROM pgqueuer WHERE status = 'failed' ORDER BY id DESC"),
        (
            &["--older", "30m", "--younger", "60m"],
            "SELECT id FROM pgqueuer WHERE created BETWEEN now() - interval '60 min' AND now() - interval '30 min' ORDER BY id DESC",
        ),
    ] {
        let wanted = ids(sql).await;
        assert!(!wanted.is_empty(), "{sql}");
        for bounds in [&[][..], &["-n", "9"], &["-n", "9", "--look", "17"]] {
            let found = all(&database, &[&["jobs"], filter, bounds].concat()).await;
            // On the edges, a second passes between the two.
            let edge = filter.contains(&"--older") as usize;
            let differ = found.iter().collect::<BTreeSet<_>>().symmetric_difference(&wanted.iter().collect()).count();
            assert!(found == wanted || differ <= edge, "{filter:?} {bounds:?}: {found:?} {wanted:?}");
        }
    }
    let said = database.cli_ok(&["jobs", "--header", "n=40", "--look", "10"]).await;
    assert!(said.stderr.contains("10 rows that were read") && said.stderr.contains("--after id:81"), "{said:?}");
    for (args, names) in [
        (&["--after", "id:5", "--status", "picked"][..], "another list"),
        (&["--after", "5"], "copy it"),
        (&["--status", "successful", "--header", "a"], "--header"),
        (&["--status", "successful", "--plugin", "abab"], "--plugin"),
        (&["--plugin", "xyz"], "hexadecimal"),
        (&["--status", "lost"], "lost"),
    ] {
        let said = database.run_cli(&[&["jobs"], args].concat()).await;
        assert!(said.code == 2 && said.stderr.contains(names), "{args:?}: {said:?}");
    }
}

#[tokio::test]
async fn failed_shows_whole_reasons_where_asked() {
    let database = populated().await;
    let long = format!("long {}", "x".repeat(500));
    let id = database.enqueue("e", "").await;
    database
        .execute(&format!("UPDATE pgqueuer SET status = 'failed', created = now() + interval '1 hour' WHERE id = {id}"))
        .await;
    database.execute(&format!("INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback) VALUES ({id}, 'failed', 0, 'e', '{{\"exception_type\": \"E\", \"exception_message\": \"{long}\"}}')")).await;
    assert!(!database.cli_ok(&["failed", "-n", "1"]).await.stdout.contains(&long));
    assert!(database.cli_ok(&["failed", "-n", "1", "--wide"]).await.stdout.contains(&long));
    assert_eq!(json_of(&database, &["failed", "-n", "1"]).await[0]["error"], format!("E: {long}"));
}

#[tokio::test]
async fn a_database_that_upgrade_has_not_reached_is_looked_at_as_far_as_it_goes() {
    let database = populated().await;
    database.execute("DROP TABLE pgqueuer_host, pgqueuer_attempt, pgqueuer_plugin").await;
    let page = json_of(&database, &["jobs", "--status", "picked", "-n", "1"]).await;
    let id = page["jobs"][0]["id"].as_i64().unwrap();
    assert_eq!(job(&database, id).await["attempts"], json!([]));
    database.cli_ok(&["workers"]).await;
    database.cli_ok(&["job", &id.to_string()]).await;
}

#[tokio::test]
async fn no_look_reads_a_whole_table() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    connection.execute(AssertSqlSafe(session_settings())).await.expect("a worker's settings");
    connection.execute("SET enable_bitmapscan = on").await.unwrap();
    let names = Names::new(&NameSettings::default(), |_| None).expect("valid names");
    assert_eq!(database.queue().names(), &names, "the files have the default names");
    for (name, file) in LOOK_STATEMENTS {
        // With what it does on the database of this release.
        let sql = file.replace("/* IF figures */", "").replace("/* ELSE NULL::uuid AS host,", "/*");
        let parameters = (1..)
            .take_while(|n| sql.lines().any(|line| !line.starts_with("--") && line.contains(&format!("${n}"))))
            .count();
        connection.execute(AssertSqlSafe(format!("PREPARE looked_at AS {sql}"))).await.expect("prepared");
        let arguments = match parameters {
            0 => String::new(),
            some => format!("({})", vec!["NULL"; some].join(", ")),
        };
        let explain = format!("EXPLAIN (COSTS OFF) EXECUTE looked_at{arguments}");
        let plan: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut connection).await.expect("a plan");
        connection.execute("DEALLOCATE looked_at").await.expect("forgotten");
        // As small as there are hosts, were deployments, or verdicts on them.
        let small = ["pgqueuer_host", "pgqueuer_plugin", "pgqueuer_verdict"];
        let is_small = |line: &str| small.iter().any(|table| line.contains(table));
        let is_whole = |line: &&String| line.contains("Seq Scan on pgqueuer") && !is_small(line);
        assert_eq!(plan.iter().find(is_whole), None, "{name}:\n{}", plan.join("\n"));
        // The order is the index's, so a page ends as soon as it is full.
        let sorts = |line: &&String| line.trim_start().trim_start_matches("->").trim() == "Sort";
        assert!(!name.starts_with("jobs_") || !plan.iter().any(|line| sorts(&line)), "{name}:\n{}", plan.join("\n"));
        let others = |line: &&String| line.contains("pgqueuer_priority_id_id1_idx");
        // The one that wants PgQueuer's order over all entrypoints.
        let others = |line: &&String| *name != "browse_queue" && others(line);
        assert_eq!(plan.iter().find(others), None, "{name}:\n{}", plan.join("\n"));
    }
}

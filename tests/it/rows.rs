//! Every value that PgQueuer's columns accept is survived: an odd row only affects itself.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually};

/// Neither Rust nor Python can represent these times.
const TIMES: [&str; 6] = [
    "infinity",
    "-infinity",
    "294276-12-31 23:59:59.999999+00",
    "262143-01-01 00:00:00+00",
    "4713-01-01 00:00:00+00 BC",
    "0001-01-01 00:00:00+00",
];

/// Those of them that are in the past.
const PAST: &str = "('-infinity', '4713-01-01 00:00:00+00 BC', '0001-01-01 00:00:00+00')";

/// Each verb that reads rows, as text and as JSON.
async fn all_verbs_answer(database: &Database) {
    for verb in ["failed", "stale", "workers", "backlog", "schedules", "doctor"] {
        for args in [vec![verb], vec![verb, "--json"]] {
            let said = database.run_cli(&args).await;
            // Whatever else it finds wrong with the tests' server does not matter here.
            let fine = if verb == "doctor" {
                (0..=1).contains(&said.code) && !said.stdout.contains("could not be looked at")
            } else {
                said.code == 0
            };
            assert!(fine, "{args:?}: {said:?}");
            if args.len() > 1 {
                said.json();
            }
        }
    }
    database.cli_ok(&["plugin", "list", "--hosts"]).await;
}

/// A job of `show` with this status, whose `column` has this value, given as an SQL expression.
async fn odd(database: &Database, status: &str, column: &str, value: &str) {
    let holder = if status == "picked" { "gen_random_uuid()" } else { "NULL" };
    let heartbeat = if status == "picked" { "now() - interval '1 day'" } else { "now()" };
    let (columns, values) = match column {
        "heartbeat" => ("", String::new()),
        _ => (column, value.to_owned()),
    };
    let heartbeat = if column == "heartbeat" { value } else { heartbeat };
    let comma = if columns.is_empty() { "" } else { ", " };
    database
        .execute(&format!(
            "INSERT INTO pgqueuer ({columns}{comma}heartbeat, queue_manager_id, status, entrypoint, payload{})
             VALUES ({values}{comma}{heartbeat}, {holder}, '{status}', 'show', 'odd'{})",
            if column == "priority" { "" } else { ", priority" },
            if column == "priority" { "" } else { ", 0" },
        ))
        .await;
}

#[tokio::test]
async fn odd_values_in_any_column_affect_only_their_row() {
    let (database, plugins, pages) =
        (Database::new().await, Plugins::with(&["hostile", "scheduled"]), Pages::anywhere());
    for status in ["queued", "picked", "failed"] {
        for column in ["created", "updated", "heartbeat", "execute_after"] {
            for time in TIMES {
                odd(&database, status, column, &format!("'{time}'")).await;
            }
        }
        for (column, values) in [
            ("priority", ["-2147483648", "2147483647", "-1"]),
            ("attempts", ["-2147483648", "2147483647", "-1"]),
            ("headers", ["NULL", "'null'", "'[1]'"]),
            ("payload", ["NULL", "''", "'x'"]),
            ("dedupe_key", ["''", "repeat('k', 2000)", "NULL"]),
        ] {
            for value in values {
                match column {
                    "payload" => {
                        database
                            .execute(&format!(
                                "INSERT INTO pgqueuer (priority, status, entrypoint, payload) VALUES (0, 'queued', 'show', {value})"
                            ))
                            .await
                    }
                    "dedupe_key" if status != "queued" => {}
                    _ => odd(&database, status, column, value).await,
                }
            }
        }
    }
    for slot in ["-9223372036854775808", "9223372036854775807", "-1"] {
        odd(&database, "queued", "slot", slot).await;
        odd(&database, "failed", "slot", slot).await;
    }
    // It has no limit, but occupies a slot.
    odd(&database, "picked", "slot", "-9223372036854775808").await;
    database
        .execute(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run, last_run, heartbeat, created, updated, status) VALUES
             ('0 0 1 1 *', 'flaky', 'infinity', '-infinity', 'infinity', '-infinity', 'infinity', 'queued'),
             ('@hourly', 'report', '-infinity', 'infinity', '-infinity', 'infinity', '-infinity', 'picked'),
             ('1 1 1 1 *', 'nobody', '-infinity', NULL, '294276-12-31', '4713-01-01 BC', '294276-12-31', 'queued'),
             ('2 2 2 2 *', 'nobody', '294276-12-31', NULL, '294276-12-31', '4713-01-01 BC', '294276-12-31', NULL),
             ('3 3 3 3 *', 'nobody', '-infinity', NULL, '294276-12-31 23:59:59.999999', '4713-01-01 BC', '294276-12-31', 'picked')",
        )
        .await;
    all_verbs_answer(&database).await;
    let good = database.enqueue_many("echo", 20, "good").await;
    let host = Host::start(&database, &plugins, &["--listen", &pages.address(), "--heartbeat-timeout", "3"]).await;
    for id in good {
        database.wait_for(id, "successful").await;
    }
    let left = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'show'
         AND (status = 'queued' AND execute_after < now() + interval '1 year' OR status = 'picked' AND heartbeat < now())";
    eventually("all that is due has run, and what its worker lost as well", async || database.count(left).await == 0)
        .await;
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND heartbeat IN {PAST}")).await,
        0,
        "a heartbeat long ago is one"
    );
    let held: Vec<String> = sqlx::query_scalar(
        "SELECT traceback ->> 'exception_type' FROM pgqueuer_log WHERE entrypoint = 'show' AND status = 'failed' ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert_eq!(held, ["Reject", "Reject", "Reject"], "three have no payload to show");
    database.execute("INSERT INTO pgqueuer (priority, status, entrypoint, execute_after) VALUES (0, 'queued', 'show', 'infinity')").await;
    let ticks = "SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE entrypoint = 'tick' AND status = 'successful'";
    let before = database.count(ticks).await;
    eventually("schedules tick on", async || database.count(ticks).await > before + 1).await;
    all_verbs_answer(&database).await;
    assert!(pages.get("/metrics").1.contains("pgq_host_queue_oldest_seconds{entrypoint="), "{}", host.log());
    database.cli_ok(&["requeue", "--all"]).await;
    eventually("what was held runs again", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE payload IS NOT NULL AND (status = 'failed' OR status = 'queued' AND execute_after <= now())").await == 0
    })
    .await;
    let log = host.stop().await;
    assert!(!log.contains("panicked") && !log.contains("cannot"), "{log}");
}

/// The only job is due in years: jobs that arrive now must not wait for it.
#[tokio::test]
async fn a_job_deferred_to_infinity_does_not_delay_others() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("INSERT INTO pgqueuer (priority, status, entrypoint, execute_after) VALUES (0, 'queued', 'echo', 'infinity')").await;
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    let log = host.stop().await;
    assert!(!log.contains("cannot reach the queue"), "{log}");
}

/// Such a job used to end every host that claimed it.
#[tokio::test]
async fn a_job_due_since_minus_infinity_runs() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("INSERT INTO pgqueuer (priority, status, entrypoint, payload, execute_after, created) VALUES (0, 'queued', 'echo', 'x', '-infinity', '-infinity')").await;
    let mut host = Host::start(&database, &plugins, &["--mode", "drain"]).await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 1);
}

//! Databases with other encodings, texts that an encoding cannot represent, and sessions in which
//! the catalog prints differently.

use std::sync::Arc;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use pgq_queue::ConcurrencyLimit;

/// Bytes that are not valid UTF-8, as an SQL expression.
const BAD: &str = r"convert_from('\x61ff62', 'SQL_ASCII')";
const BAD_HEADERS: &str = r"convert_from('\x7b2261223a2262ff63227d', 'SQL_ASCII')::jsonb";

async fn every_verb_answers(database: &Database) {
    for verb in ["failed", "stale", "workers", "backlog", "schedules"] {
        database.cli_ok(&[verb]).await;
        database.cli_ok(&[verb, "--json"]).await.json();
    }
    let said = database.run_cli(&["doctor"]).await;
    assert!(said.code <= 1 && !said.stdout.contains("invalid byte"), "{said:?}");
}

#[tokio::test]
async fn invalid_utf_8_in_a_row_affects_nothing_else() {
    let (database, plugins) = (Database::encoded("SQL_ASCII").await, Plugins::with(&["hostile", "scheduled"]));
    for status in ["queued", "picked", "failed"] {
        database
            .execute(&format!(
                "INSERT INTO pgqueuer (priority, entrypoint, payload, headers, dedupe_key, status, queue_manager_id, heartbeat)
                 VALUES (1, {BAD}, 'x', NULL, NULL, '{status}', gen_random_uuid(), now() - interval '1 day'),
                        (1, 'show', 'x', {BAD_HEADERS}, {BAD} || '{status}', '{status}', gen_random_uuid(), now() - interval '1 day')"
            ))
            .await;
    }
    database.execute(&format!("INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback) SELECT id, 'failed', 0, entrypoint, jsonb_build_object('exception_message', {BAD}) FROM pgqueuer WHERE status = 'failed'")).await;
    database
        .execute(&format!(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES ({BAD}, {BAD}, '-infinity')"
        ))
        .await;
    every_verb_answers(&database).await;
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "3"]).await;
    for id in database.enqueue_many("echo", 10, "x").await {
        database.wait_for(id, "successful").await;
    }
    eventually("what has odd headers has run as well", async || {
        database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'show' AND status <> 'failed'").await == 0
    })
    .await;
    let outputs: Vec<Vec<u8>> = sqlx::query_scalar("SELECT output FROM pgqueuer_output WHERE entrypoint = 'show'")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(outputs.len(), 2);
    assert!(outputs.iter().all(|output| String::from_utf8_lossy(output).contains("b\u{FFFD}c")), "{outputs:?}");
    every_verb_answers(&database).await;
    database.cli_ok(&["requeue", "--entrypoint", "show"]).await;
    eventually("what was held has run", async || {
        database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'show' AND status = 'successful'").await
            == 3
    })
    .await;
    let log = host.stop().await;
    assert!(!log.contains("cannot reach the queue"), "{log}");
}

/// 0x81 is not a character in this encoding: the server can store it, but not send it.
#[tokio::test]
async fn a_row_that_the_server_cannot_send_affects_only_itself() {
    let (database, plugins) = (Database::encoded("WIN1252").await, Plugins::with(&["hostile"]));
    database
        .execute(
            r"INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
              VALUES (1, 'show', 'x', convert_from('\x7b2261223a2262 8163227d', 'SQL_ASCII')::jsonb, 'queued')",
        )
        .await;
    let good = database.enqueue_many("show", 5, "x").await;
    let host = Host::start(&database, &plugins, &[]).await;
    for id in good {
        database.wait_for(id, "successful").await;
    }
    database.wait_until_done().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 6);
    host.stop().await;
}

#[tokio::test]
async fn text_that_the_encoding_lacks_is_escaped_and_counts_no_attempt() {
    let (database, plugins) = (Database::encoded("LATIN1").await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("fail", "caf\u{e9} \u{2603}").await;
    database.wait_for(id, "failed").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "failed"]);
    assert_eq!(database.traceback(id).await["exception_message"], "caf\u{e9} \\u{2603}");
    let nul = database.enqueue("nul", "").await;
    database.wait_for(nul, "failed").await;
    assert_eq!(database.traceback(nul).await["exception_message"], "before\\u{0}after");
    host.stop().await;
}

/// No row can have such a name. Looking for it must not prevent others from being found.
#[tokio::test]
async fn an_entrypoint_that_the_encoding_lacks_does_not_affect_others() {
    let database = Database::encoded("LATIN1").await;
    let queue = database.queue().fitted().await.unwrap();
    let id = database.enqueue("caf\u{e9}", "x").await;
    let names: [Arc<str>; 2] = ["\u{2603}".into(), "caf\u{e9}".into()];
    let second = std::time::Duration::from_secs(1);
    assert!(
        queue.next_due(names.iter().map(|name| (&**name, Some(second)))).await.unwrap().is_some_and(|due| due < second)
    );
    assert!(queue.has_work(&names).await.unwrap());
    let limited = ConcurrencyLimit { entrypoint: Arc::clone(&names[0]), concurrency: 1 };
    assert!(queue.claim_limited(&limited, 1).await.unwrap().is_empty());
    let claimed = queue.claim(&names, 10).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].id, &*claimed[0].entrypoint), (1, id, "caf\u{e9}"));
}

/// Otherwise its death would be noticed only when its leases expire.
#[tokio::test]
async fn a_host_is_announced_whatever_its_plugins_say() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "describe-panics"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let error = "SELECT count(*) FROM pgqueuer_host, jsonb_array_elements(plugins) AS file WHERE file ->> 'error' LIKE '%cannot say what I am%'";
    eventually("it is announced", async || database.count(error).await == 1).await;
    host.stop().await;
}

#[tokio::test]
async fn a_job_that_the_queue_cannot_store_is_refused_with_the_reason() {
    let database = Database::new().await;
    let key = "k".repeat(3_000);
    for (args, wanted) in [
        (vec![""], vec!["0 bytes", "255"]),
        (vec![&*key], vec!["3000 bytes", "255"]),
        (vec!["echo", "--dedupe-key", &key], vec!["3000 bytes", "2692"]),
        (vec!["echo", "--delay", "1e12"], vec!["thousand years"]),
        (vec!["echo", "--priority", "2147483648"], vec!["2147483648"]),
    ] {
        let said = database.run_cli(&[&["queue"], &*args].concat()).await;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(wanted.iter().all(|part| said.stderr.contains(part)), "{said:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    // The longest key that is allowed fits the index, however badly it compresses.
    let key: String = (0..2_692).map(|_| fastrand::alphanumeric()).collect();
    database.cli_ok(&["queue", "echo", "--dedupe-key", &key, "--delay", "3153600000"]).await;
}

#[tokio::test]
async fn settings_of_a_database_or_role_change_nothing_in_what_verify_and_upgrade_see() {
    let database = Database::new().await;
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    for setting in [
        "quote_all_identifiers = on",
        "search_path = public, pg_catalog",
        "standard_conforming_strings = off",
        "bytea_output = escape",
        "extra_float_digits = -15",
        "DateStyle = 'German, DMY'",
        "IntervalStyle = sql_standard",
        "TimeZone = 'Asia/Kathmandu'",
        "backslash_quote = on",
    ] {
        database.execute(&format!("ALTER DATABASE {name} SET {setting}")).await;
    }
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let plan = database.cli_ok(&["upgrade", "--plan"]).await;
    assert_eq!(plan.stdout, "", "{plan:?}");
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["uninstall"]).await;
    database.cli_ok(&["install"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let plugins = Plugins::with(&["hostile"]);
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

//! Changing many jobs by a filter: counted first, done in batches, and noted in the audit.

use pgq_host_tests::{Database, Host, Plugins, eventually};
use serde_json::{Value, json};

async fn audit(database: &Database) -> Value {
    database.cli_ok(&["audit", "--json"]).await.json()
}

async fn count(database: &Database, condition: &str) -> i64 {
    database.count(&format!("SELECT count(*) FROM pgqueuer WHERE {condition}")).await
}

/// 2,500 jobs of `a`, some of them deferred and some held with an error, and 10 of `b`.
async fn populated() -> Database {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, attempts, execute_after, headers)
             SELECT 0, CASE WHEN n > 2500 THEN 'b' ELSE 'a' END, 'x',
                    (CASE WHEN n % 5 = 0 THEN 'failed' ELSE 'queued' END)::pgqueuer_status, CASE WHEN n % 5 = 0 THEN 3 ELSE 0 END,
                    now() + CASE WHEN n % 2 = 0 THEN interval '1 hour' ELSE interval '0' END,
                    jsonb_build_object('tenant', 't' || n % 10)
             FROM generate_series(1, 2510) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
             SELECT id, status, 0, entrypoint, jsonb_build_object('exception_type', 'E', 'exception_message', 'no ' || CASE WHEN id % 10 = 0 THEN 'luck' ELSE 'way' END)
             FROM pgqueuer WHERE status = 'failed'",
        )
        .await;
    database
}

#[tokio::test]
async fn jobs_that_match_are_counted_first_and_changed_with_yes() {
    let database = populated().await;
    let row = "(SELECT count(*) || ':' || md5(string_agg(q::text, '' ORDER BY id)) FROM pgqueuer AS q)";
    let whole = async || -> String {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {row}"))).fetch_one(database.pool()).await.unwrap()
    };
    let before = whole().await;
    for (args, matches) in [
        (&["retry-now", "--entrypoint", "a"][..], 2000),
        (&["cancel", "--header", "tenant=t1"], 251),
        (&["cancel", "--all"], 2510),
        (&["requeue", "--error", "LUCK"], 251),
        (&["requeue", "--error", "way", "--entrypoint", "a", "--entrypoint", "b"], 251),
        (&["reschedule", "--delay", "1h", "--entrypoint", "b"], 8),
        (&["edit", "--payload", "y", "--entrypoint", "b"], 10),
        (&["edit", "--payload", "y", "--entrypoint", "b", "--status", "failed"], 2),
    ] {
        let said = database.run_cli(args).await;
        assert!(said.code == 1 && said.stderr.contains(&format!("{matches} job(s) match")), "{args:?}: {said:?}");
    }
    assert_eq!(whole().await, before, "nothing was done");
    assert_eq!(audit(&database).await, json!([]));

    let yes = async |args: &[&str]| database.cli_ok(&[args, &["--yes", "--json", "--author", "ann"]].concat()).await;
    let done = yes(&["retry-now", "--entrypoint", "a", "--reason", "it is back\u{1b}[2J"]).await;
    assert_eq!(done.json(), json!({ "matched": 2000, "changed": 1000 }), "the others are due");
    assert!(done.stderr.contains("Made due 1000 of 2000"), "{done:?}");
    assert_eq!(count(&database, "entrypoint = 'a' AND status = 'queued' AND execute_after > now()").await, 0);
    assert_eq!(count(&database, "entrypoint = 'b' AND status = 'queued' AND execute_after > now()").await, 4);
    assert_eq!(yes(&["reschedule", "--at", "2100-01-01T00:00:00Z", "--entrypoint", "b"]).await.json()["changed"], 8);
    assert_eq!(count(&database, "execute_after = '2100-01-01Z'").await, 8);
    assert_eq!(yes(&["edit", "--payload", "new", "--priority", "-7", "--entrypoint", "b"]).await.json()["changed"], 10);
    assert_eq!(count(&database, "payload = 'new' AND priority = -7 AND entrypoint = 'b'").await, 10);
    assert_eq!(count(&database, "payload = 'x'").await, 2500);
    database.cli_ok(&["requeue", "--error", "luck", "--yes"]).await;
    assert_eq!(count(&database, "status = 'failed'").await, 251);
    assert_eq!(yes(&["cancel", "--header", "tenant=t1"]).await.json(), json!({ "matched": 251, "changed": 251 }));
    assert_eq!(count(&database, "headers ->> 'tenant' = 't1'").await, 0);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'canceled'").await, 251);

    let entries = audit(&database).await;
    let told: Vec<(&str, i64)> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["jobs"].as_i64().unwrap()))
        .collect();
    assert_eq!(told, [("cancel", 251), ("requeue", 251), ("edit", 10), ("reschedule", 8), ("retry_now", 1000)]);
    let last = &entries[4];
    assert_eq!((&last["author"], &last["reason"]), (&json!("ann"), &json!("it is back\u{1b}[2J")));
    assert_eq!(last["filter"]["jobs"], json!({ "status": "queued", "entrypoint": "a" }));
    assert!(last["role"].is_string() && !entries[2].to_string().contains("new"), "{entries}");
    let table = database.cli_ok(&["audit"]).await.stdout;
    assert!(table.contains("it is back\\x1b[2J") && !table.contains('\u{1b}'), "{table}");
}

#[tokio::test]
async fn ids_are_changed_at_once_and_what_cannot_be_changed_is_told() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let running = database.enqueue("nap", "3600000").await;
    eventually("it runs", async || count(&database, "status = 'picked'").await == 1).await;
    database.cli_ok(&["queue", "echo", "old", "--delay", "1h"]).await;
    let waits = database.count("SELECT max(id) FROM pgqueuer").await;
    let ids = [running, waits, 4711].map(|id| id.to_string());
    let said = database.run_cli(&["edit", &ids[0], &ids[1], &ids[2], "--payload", "new"]).await;
    assert!(
        said.code == 1 && said.stderr.contains("Edited 1 of 3") && said.stderr.contains("2 job(s) were left"),
        "{said:?}"
    );
    // Its host is woken: nothing else would before an hour is over.
    database.cli_ok(&["retry-now", &ids[1], "--reason", "now"]).await;
    database.wait_for(waits, "successful").await;
    assert_eq!(database.output(waits).await.as_deref(), Some("new"));
    // What runs is cancelled by a filter as by its id.
    let filter = ["cancel", "--status", "picked", "--entrypoint", "nap", "--yes"];
    database.cli_ok(&filter).await;
    host.wait_for_log("cancelled while it ran").await;
    database.cli_ok(&["pause", "--all", "--reason", "r", "--author", "ann"]).await;
    database.cli_ok(&["resume", "--all", "--author", "bob"]).await;
    let entries = audit(&database).await;
    let told: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| format!("{} {}", entry["action"].as_str().unwrap(), entry["jobs"]))
        .collect();
    assert_eq!(told, ["resume 0", "pause 0", "cancel 1", "retry_now 1", "edit 1"]);
    assert_eq!(entries[4]["filter"]["jobs"], json!({ "ids": [running, waits, 4711], "count": 3 }));
    host.stop().await;
}

#[tokio::test]
async fn a_job_that_has_begun_since_it_matched_is_left_as_it_is() {
    let database = Database::new().await;
    let ids = database.enqueue_many("e", 3, "x").await;
    database.execute(&format!("UPDATE pgqueuer SET status = 'picked' WHERE id = {}", ids[1])).await;
    let operator = pgq_queue::Operator::new(database.pool().clone(), database.queue().names().clone());
    let none = pgq_queue::AuditId::default();
    let report = operator.cancel(&ids, Some(&["queued"]), none).await.unwrap();
    let canceled = |place: usize| matches!(report[place].outcome, pgq_queue::CancelOutcome::Canceled { .. });
    assert_eq!((canceled(0), canceled(1), canceled(2)), (true, false, true));
    let change = pgq_queue::Change { payload: Some(None), held_too: true, ..pgq_queue::Change::default() };
    assert!(operator.change(&ids, &change, none).await.unwrap().is_empty());
    assert_eq!(count(&database, "payload = 'x'").await, 1);
}

#[tokio::test]
async fn misuse_is_told_and_a_database_without_an_audit_is_changed_all_the_same() {
    let database = populated().await;
    for (args, names) in [
        (&["cancel"][..], "--all"),
        (&["retry-now"], "--all"),
        (&["edit", "1"], "--payload"),
        (&["reschedule", "1"], "--delay"),
        (&["reschedule", "1", "--at", "soon"], "soon"),
        (&["cancel", "1", "--entrypoint", "a"], "not both"),
        (&["requeue", "1", "--error", "x"], "not both"),
        (&["cancel", "--status", "successful"], "successful"),
        (&["retry-now", "--status", "failed", "--yes"], "queued"),
        (&["edit", "--payload-file", "/no/such/file", "1"], "/no/such/file"),
    ] {
        let said = database.run_cli(args).await;
        assert!(said.code == 2 && said.stderr.contains(names), "{args:?}: {said:?}");
    }
    assert!(database.cli_ok(&["cancel", "--entrypoint", "nobody", "--yes"]).await.stderr.contains("No such jobs"));
    database.execute("DROP TABLE pgqueuer_audit").await;
    database.cli_ok(&["cancel", "--entrypoint", "b", "--yes"]).await;
    database.cli_ok(&["requeue", "--all"]).await;
    database.cli_ok(&["retry-now", "--all", "--yes"]).await;
    assert_eq!((count(&database, "entrypoint = 'b'").await, count(&database, "status = 'failed'").await), (0, 0));
    let said = database.run_cli(&["audit"]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host upgrade"), "{said:?}");
}

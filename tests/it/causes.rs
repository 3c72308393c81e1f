//! Failures are counted by their causes: where one began is known, however many came since, and whoever
//! looks reads a few rows.

use pgq_host_tests::{Database, Host, Plugins, eventually};
use serde_json::Value;

/// Failed runs in the log, the first an hour ago, as versions of a plugin wrote them.
async fn fail(database: &Database, entrypoint: &str, runs: i64, version: &str, begun: &str) {
    sqlx::query(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated, traceback)
         SELECT n, 'exception', 0, $1, now() - $4::interval + n * interval '1 ms', true,
                jsonb_build_object('exception_type', 'Trap', 'exception_message', 'order ' || n || ' is unknown', 'traceback', '',
                    'additional_context', jsonb_build_object('plugin', 'billing', 'plugin_version', $3::text, 'plugin_sha256', repeat($3::text, 64)))
         FROM generate_series(1, $2) AS n",
    )
    .bind(entrypoint)
    .bind(runs)
    .bind(version)
    .bind(begun)
    .execute(database.pool())
    .await
    .unwrap();
}

async fn failures(database: &Database) -> Value {
    database.cli_ok(&["failures", "--json"]).await.json()
}

fn group<'v>(failures: &'v Value, entrypoint: &str) -> &'v Value {
    let found = failures["groups"].as_array().unwrap().iter().find(|group| group["entrypoint"] == entrypoint);
    found.unwrap_or_else(|| panic!("no {entrypoint} in {failures}"))
}

#[tokio::test]
async fn where_a_cause_began_is_known_however_many_failures_came_since() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    fail(&database, "pay", 3, "1", "5 hours").await;
    fail(&database, "pay", 7_000, "2", "1 hour").await;
    fail(&database, "mail", 2, "3", "30 minutes").await;
    // Nobody has counted: what is told is what the newest failures show, and it is said so.
    let before = failures(&database).await;
    assert_eq!((&before["cut"], &before["counted_to"]), (&true.into(), &Value::Null), "{before}");
    assert!(group(&before, "pay")["failures"].as_i64() < Some(1_000));

    let hosts = [Host::start(&database, &plugins, &[]).await, Host::start(&database, &plugins, &[]).await];
    let counted = "SELECT coalesce(sum(failures), 0)::bigint FROM pgqueuer_cause";
    eventually("all are counted", async || database.count(counted).await == 7_005).await;
    // What comes afterwards is read from the log until it is counted.
    fail(&database, "pay", 5, "2", "0 minutes").await;
    let after = failures(&database).await;
    assert_eq!(after["cut"], false, "{after}");
    let pay = group(&after, "pay");
    assert_eq!((&pay["failures"], &pay["message"]), (&7_008.into(), &"order <n> is unknown".into()));
    let versions = pay["versions"].as_array().unwrap();
    let told: Vec<_> =
        versions.iter().map(|one| (one["version"].as_str().unwrap(), one["failures"].as_i64().unwrap())).collect();
    assert_eq!(told, [("1", 3), ("2", 7_005)], "it began with the first");
    let first: chrono::DateTime<chrono::Utc> = pay["first_seen"].as_str().unwrap().parse().unwrap();
    assert!((chrono::Utc::now() - first).num_minutes() > 280, "{pay}");
    let table = database.cli_ok(&["failures"]).await.stdout;
    assert!(table.contains("billing 1") && table.contains("order <n> is unknown"), "{table}");
    eventually("those are counted as well, once", async || database.count(counted).await == 7_010).await;
    let [one, other] = hosts;
    one.stop().await;
    other.stop().await;
    assert_eq!(database.count(counted).await, 7_010);
}

#[tokio::test]
async fn without_the_table_failures_are_grouped_as_before() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    database.execute("DROP TABLE pgqueuer_cause").await;
    fail(&database, "pay", 20, "1", "1 hour").await;
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("lacking=[\"causes\"").await;
    let told = failures(&database).await;
    assert_eq!((&group(&told, "pay")["failures"], &told["cut"]), (&20.into(), &false.into()));
    assert!(!host.stop().await.contains(" ERROR "));
}

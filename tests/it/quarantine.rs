//! A version that an operator quarantines is served by no host, whatever its folder has, until that is
//! lifted.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, guest, pgq_host};
use serde_json::{Value, json};

use crate::reload::{sha256, version};

/// Hosts that serve this digest now, on trial or not.
async fn serving(database: &Database, digest: &str) -> i64 {
    database
        .count(&format!(
            "SELECT count(*) FROM pgqueuer_host WHERE plugins @> '[{{\"sha256\": \"{digest}\"}}]'
             OR plugins @> '[{{\"canary\": {{\"sha256\": \"{digest}\"}}}}]'"
        ))
        .await
}

async fn until_serving(database: &Database, digest: &str, hosts: i64) {
    eventually(&format!("{hosts} serve {}", &digest[..8]), async || serving(database, digest).await == hosts).await;
}

/// What the fleet knows of a version.
async fn known(database: &Database, digest: &str) -> Value {
    let plugins = database.cli_ok(&["plugin", "versions", "--json"]).await.json();
    let versions = plugins.as_array().unwrap().iter().flat_map(|plugin| plugin["versions"].as_array().unwrap());
    versions
        .into_iter()
        .find(|one| one["sha256"] == digest)
        .cloned()
        .unwrap_or_else(|| panic!("no {digest} in {plugins}"))
}

#[tokio::test]
async fn a_quarantined_version_is_served_nowhere_until_it_is_lifted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let first = std::fs::read(guest("good")).unwrap();
    let second = version("good", 2);
    let (old, new) = (sha256(&first), sha256(&second));
    plugins.put_as("good", "job.wasm");
    let hosts = [Host::start(&database, &plugins, &[]).await, Host::start(&database, &plugins, &[]).await];
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    until_serving(&database, &old, 2).await;
    plugins.replace("job.wasm", &second);
    until_serving(&database, &new, 2).await;

    let unsaid = database.run_cli(&["plugin", "quarantine", &new[..12]]).await;
    assert!(unsaid.code == 2 && unsaid.stderr.contains("--reason"), "{unsaid:?}");
    let args = ["plugin", "quarantine", &new[..12], "--reason", "it pays twice", "--author", "ann", "--json"];
    let told = database.cli_ok(&args).await.json();
    assert_eq!((&told["sha256"], &told["quarantined"]), (&json!(new), &json!(true)));
    until_serving(&database, &new, 0).await;
    until_serving(&database, &old, 2).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    let seen = known(&database, &new).await;
    assert_eq!(seen["judgements"][0]["verdict"], "quarantined", "{seen}");
    assert_eq!(
        (&seen["judgements"][0]["host"], &seen["judgements"][0]["reason"]),
        (&json!("ann"), &json!("it pays twice"))
    );
    let refused = seen["errors"][0]["error"].as_str().unwrap();
    assert!(refused.contains("quarantined by ann: it pays twice") && refused.contains("plugin lift"), "{refused}");

    // Neither a reset, nor a restart, nor a good run of a host that has not heard of it ends it.
    database.cli_ok(&["plugin", "reset", "job"]).await;
    let [one, other] = hosts;
    one.stop().await;
    other.stop().await;
    let empty = Plugins::with(&[]);
    empty.write("job.wasm", &second);
    let fresh = Host::spawn(&database, &empty, &[]);
    fresh.wait_for_log("quarantined by ann").await;
    assert_eq!(serving(&database, &new).await, 0);
    let waits = database.enqueue("work", "").await;

    database.cli_ok(&["plugin", "lift", &new, "--author", "bob"]).await;
    until_serving(&database, &new, 1).await;
    database.wait_for(waits, "successful").await;
    let again = database.run_cli(&["plugin", "lift", &new]).await;
    assert!(again.code == 1 && again.stderr.contains("no quarantine"), "{again:?}");
    let actions: Vec<(String, String)> =
        sqlx::query_as("SELECT action, author FROM pgqueuer_audit WHERE action LIKE '%quarantine' ORDER BY id")
            .fetch_all(database.pool())
            .await
            .unwrap();
    assert_eq!(actions, [("quarantine".into(), "ann".into()), ("lift_quarantine".into(), "bob".into())]);
    fresh.stop().await;
}

#[tokio::test]
async fn a_file_that_no_host_has_seen_is_quarantined_by_its_whole_digest() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["good"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let second = version("good", 2);
    let digest = sha256(&second);
    let part = database.run_cli(&["plugin", "quarantine", &digest[..12], "--reason", "it leaks"]).await;
    assert!(part.code == 1 && part.stderr.contains("all 64 digits"), "{part:?}");
    database.cli_ok(&["plugin", "quarantine", &digest, "--reason", "it leaks"]).await;
    plugins.replace("good.wasm", &second);
    host.wait_for_log("it leaks").await;
    assert_eq!(serving(&database, &digest).await, 0);
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    host.stop().await;
}

/// As an earlier release reads the table: by the verdict alone.
#[tokio::test]
async fn hosts_of_earlier_releases_take_it_for_a_roll_back() {
    let database = Database::new().await;
    let digest = "ab".repeat(32);
    database.cli_ok(&["plugin", "quarantine", &digest, "--reason", "no"]).await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT subject, verdict FROM pgqueuer_verdict").fetch_all(database.pool()).await.unwrap();
    assert_eq!(rows, [(digest, "rolled_back".to_owned())]);
}

#[tokio::test]
async fn the_fleet_tells_what_a_version_may_do_was_denied_and_ran_into() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"echo\"]\n").unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    let allocating = database.enqueue("hog", "x").await;
    database.wait_for(allocating, "failed").await;
    let digest = sha256(&std::fs::read(guest("hostile")).unwrap());
    // Hosts tell of it when they announce themselves, a minute apart; a change of what they serve is told at once.
    plugins.put_as("good", "other.wasm");
    eventually("it is told", async || {
        known(&database, &digest).await["report"]["limits"]["memory"].as_u64() >= Some(1)
    })
    .await;
    let report = known(&database, &digest).await["report"].clone();
    assert!(report["grants"].as_array().unwrap().contains(&json!({ "kind": "enqueue", "name": "echo" })), "{report}");
    let table = database.cli_ok(&["plugin", "versions", "hostile"]).await.stdout;
    assert!(table.contains("limits hit: memory "), "{table}");
    host.stop().await;
}

#[tokio::test]
async fn what_a_plugin_was_denied_is_told_with_the_remedy_by_verb_page_and_api() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["traced"]));
    let host = Host::start(&database, &plugins, &[]).await;
    // To hosts and a database that it was not granted, twice each in one version's life.
    let steps = json!([
        {"get": ["partner.example:8443", "/stock"]},
        {"get": ["127.0.0.1:5432", "/"]},
        {"sql": "DELETE FROM pgqueuer"},
    ]);
    for id in database.enqueue_many("order", 2, steps.to_string()).await {
        database.wait_for(id, "successful").await;
        let answers = database.output(id).await.unwrap();
        assert!(!answers.contains("200") && answers.matches("enied").count() >= 2, "{answers}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    let digest = sha256(&std::fs::read(guest("traced")).unwrap());
    plugins.put_as("good", "other.wasm");
    eventually("it is told", async || known(&database, &digest).await["report"]["denied"][2] != Value::Null).await;
    let report = known(&database, &digest).await["report"].clone();
    let denied: Vec<(String, String, u64)> = report["denied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            assert!(text("why").contains("[plugins.traced]"), "the remedy: {one}");
            (text("what"), text("target"), one["times"].as_u64().unwrap())
        })
        .collect();
    let denial = |what: &str, target: &str| (what.to_owned(), target.to_owned(), 2);
    for wanted in [
        denial("http", "http://partner.example:8443"),
        denial("http", "http://127.0.0.1:5432"),
        denial("sql", "the database"),
    ] {
        assert!(denied.contains(&wanted), "{wanted:?} is not in {denied:?}");
    }
    assert_eq!(denied.len(), 3, "{denied:?}");
    let table = database.cli_ok(&["plugin", "versions", "traced"]).await.stdout;
    assert!(table.contains("denied http http://partner.example:8443 2x") && table.contains("denied sql"), "{table}");

    let pages = Pages::anywhere();
    let mut web = pgq_host(&database.dsn());
    web.args(["web", "--port", pages.address().rsplit(':').next().unwrap()]);
    let web = Host::launch(web);
    eventually("the pages answer", async || pages.get("/assets/").0 != 0).await;
    let (_, page) = pages.get("/plugins");
    for part in ["denied", "http://partner.example:8443", "http://127.0.0.1:5432", "the database", "[plugins.traced]"] {
        assert!(page.contains(part), "the page does not say {part:?}: {page}");
    }
    web.stop().await;
    host.stop().await;
}

//! What a host learned about a version of a plugin is known to the others, and at its next start:
//! it is in the database, as long as the file exists.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, guest};
use serde_json::Value;
use tempfile::TempDir;

use crate::chaos::slow_to_compile;
use crate::reload::{sha256, version};

/// Breakers that open soon, and stay open.
const NERVOUS: &str = "[circuit-breaker]\nwindow = 10\ncrashes = 4\npause = \"1h\"\n";

/// A plugins folder, and the private cache of its host.
struct Machine {
    plugins: Plugins,
    cache: TempDir,
    pages: Pages,
}

impl Machine {
    fn new(guests: &[&str]) -> Machine {
        let machine =
            Machine { plugins: Plugins::with(guests), cache: tempfile::tempdir().unwrap(), pages: Pages::anywhere() };
        machine.plugins.write("pgq-host.toml", NERVOUS);
        machine
    }

    async fn start(&self, database: &Database, args: &[&str]) -> Host {
        let (cache, address) = (self.cache.path().join("code"), self.pages.address());
        let own = ["--cache-dir", cache.to_str().unwrap(), "--listen", &address];
        let host = Host::start(database, &self.plugins, &[&own[..], args].concat()).await;
        // Wait for the log rather than for `/readyz`, because the host may not become ready.
        host.wait_for_log("start_ms").await;
        host
    }

    async fn ready(&self, status: u16, text: &str) {
        let mut last = (0, String::new());
        eventually(&format!("/readyz is {status} with {text:?}"), async || {
            last = self.pages.get("/readyz");
            last.0 == status && last.1.contains(text)
        })
        .await;
    }
}

/// What a host of this database announces about a file, as soon as it satisfies the condition.
async fn announced(database: &Database, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    eventually(what, async || {
        let rows: Vec<Value> =
            sqlx::query_scalar("SELECT plugins FROM pgqueuer_host").fetch_all(database.pool()).await.unwrap();
        let files = rows.iter().filter_map(Value::as_array).flatten().find(|file| holds(file)).cloned();
        found = files.clone().unwrap_or_default();
        files.is_some()
    })
    .await;
    found
}

async fn verdict(database: &Database, bytes: &[u8]) -> Option<String> {
    let verdicts = "SELECT verdict FROM pgqueuer_verdict WHERE subject = $1";
    sqlx::query_scalar(verdicts).bind(sha256(bytes)).fetch_optional(database.pool()).await.unwrap()
}

async fn wait_for_verdict(database: &Database, bytes: &[u8], wanted: &str) {
    eventually(&format!("the verdict is {wanted}"), async || verdict(database, bytes).await.as_deref() == Some(wanted))
        .await;
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).unwrap()
}

/// A host that has run the good version, and then rolled the bad one back.
async fn rolled_back(database: &Database, machine: &Machine) -> Host {
    machine.plugins.put_as("good", "job.wasm");
    let host = machine.start(database, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    machine.plugins.put_as("bad", "job.wasm");
    announced(database, "the bad version", |file| file["version"] == "2.0.0").await;
    for job in database.enqueue_many("work", 8, "").await {
        database.wait_for(job, "successful").await;
    }
    wait_for_verdict(database, &read("bad"), "rolled_back").await;
    host
}

async fn runs_of(database: &Database, bytes: &[u8]) -> i64 {
    let key = u64::from_str_radix(&sha256(bytes)[..16], 16).unwrap().cast_signed();
    database.count(&format!("SELECT count(*) FROM pgqueuer_attempt WHERE plugin = {key}")).await
}

#[tokio::test]
async fn a_rolled_back_version_is_not_tried_again_after_a_restart_and_the_previous_one_is_served() {
    let (database, machine) = (Database::new().await, Machine::new(&[]));
    rolled_back(&database, &machine).await.stop().await;
    let burnt = runs_of(&database, &read("bad")).await;
    let host = machine.start(&database, &[]).await;
    let file = announced(&database, "the good version", |file| file["version"] == "1.0.0").await;
    let error = file["error"].as_str().unwrap();
    assert!(error.contains("version 2.0.0 was taken out of service") && error.contains("plugin reset job"), "{error}");
    for job in database.enqueue_many("work", 8, "").await {
        database.wait_for(job, "successful").await;
    }
    assert_eq!(runs_of(&database, &read("bad")).await, burnt, "not one run more");
    machine.ready(200, "[+] plugins ok").await;
    // Another file is another version, whatever is known about the previous one.
    machine.plugins.replace("job.wasm", version("good", 3));
    announced(&database, "the new version", |file| {
        file["sha256"] == sha256(&version("good", 3)).as_str() && file["error"].is_null()
    })
    .await;
    // At an operator's request, the host tries the bad one again.
    machine.plugins.put_as("bad", "job.wasm");
    announced(&database, "it is refused", |file| {
        file["error"].as_str().is_some_and(|error| error.contains("taken out of service"))
    })
    .await;
    database.cli_ok(&["plugin", "reset", "job"]).await;
    announced(&database, "the bad version again", |file| file["version"] == "2.0.0").await;
    assert_eq!(verdict(&database, &read("bad")).await, None);
    host.stop().await;
}

#[tokio::test]
async fn a_host_without_an_earlier_version_does_not_serve_what_its_fleet_rolled_back_and_is_not_ready() {
    let (database, one, other) = (Database::new().await, Machine::new(&[]), Machine::new(&["hello"]));
    let first = rolled_back(&database, &one).await;
    other.plugins.put_as("bad", "job.wasm");
    let second = other.start(&database, &[]).await;
    second.wait_for_log("plugin refused").await;
    other
        .ready(
            503,
            "[-] plugins: other hosts serve \"work\", but this one does not; job.wasm is refused: version 2.0.0",
        )
        .await;
    one.ready(200, "[+] plugins ok").await;
    // It still claims jobs of what it serves.
    database.wait_for(database.enqueue("hello", r#"{"name":"you"}"#).await, "successful").await;
    other.plugins.put_as("good", "job.wasm");
    other.ready(200, "[+] plugins ok").await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_roll_back_on_one_host_applies_to_all() {
    let (database, other) = (Database::new().await, Machine::new(&[]));
    other.plugins.put_as("good", "job.wasm");
    // It runs no jobs, so it learns nothing by itself.
    let second = other.start(&database, &[]).await;
    other.plugins.put_as("bad", "job.wasm");
    announced(&database, "the bad version", |file| file["version"] == "2.0.0").await;
    let subject = sha256(&read("bad"));
    // As another host writes it.
    let queue = database.queue();
    let judgement = pgq_job::judgement::Judgement {
        sha256: subject,
        plugin: "job".into(),
        version: Some("2.0.0".into()),
        entrypoint: Some("work".into()),
        standing: pgq_job::judgement::Standing::RolledBack,
        reason: "all of its runs crashed".into(),
        rules: "another build's".into(),
        host: String::new(),
    };
    queue.judge(&[judgement]).await.unwrap();
    let back = |file: &Value| {
        file["version"] == "1.0.0"
            && file["error"].as_str().is_some_and(|error| error.contains("all of its runs crashed"))
    };
    announced(&database, "it went back", back).await;
    second.stop().await;
}

#[tokio::test]
async fn a_broken_file_stops_a_rolling_update_at_the_first_host_and_strictness_is_optional() {
    let (database, old, new) = (Database::new().await, Machine::new(&["hello", "hostile"]), Machine::new(&["hello"]));
    let first = old.start(&database, &[]).await;
    old.ready(200, "[+] plugins ok").await;
    // The next host cannot serve the new file.
    let broken = read("hostile")[..10_000].to_vec();
    new.plugins.write("hostile.wasm", &broken);
    let second = new.start(&database, &[]).await;
    new.ready(503, "hostile.wasm is refused: the component does not compile").await;
    assert!(new.pages.get("/readyz").1.contains("other hosts serve"), "{:?}", new.pages.get("/readyz"));
    wait_for_verdict(&database, &broken, "refused").await;
    second.stop().await;
    // At its next start, the file is not even compiled.
    let second = new.start(&database, &[]).await;
    second.wait_for_log("this file was refused by").await;
    second.stop().await;
    // A running host keeps its version and is ready, unless it is configured to be strict.
    old.plugins.replace("hostile.wasm", &broken);
    first.wait_for_log("plugin refused").await;
    old.ready(200, "[+] plugins ok").await;
    first.stop().await;
    let strict = old.start(&database, &["--require", "plugins"]).await;
    old.ready(503, "hostile.wasm is refused").await;
    old.plugins.put("hostile");
    old.ready(200, "[+] plugins ok").await;
    old.plugins.remove("hello.wasm");
    old.ready(503, "\"hello\" was served before and no longer is").await;
    strict.stop().await;
}

#[tokio::test]
async fn a_transient_failure_is_not_a_verdict_and_is_retried() {
    let (database, machine) = (Database::new().await, Machine::new(&["hello", "describe-loops"]));
    machine.plugins.write("pgq-host.toml", "[limits]\ncompile-timeout = \"40ms\"\n");
    machine.plugins.write("bomb.wasm", slow_to_compile());
    let host = machine.start(&database, &[]).await;
    host.wait_for_log("took more than 40ms").await;
    host.wait_for_log("`describe` failed").await;
    // The next attempt has twice the time.
    host.wait_for_log("took more than 80ms").await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_verdict WHERE verdict <> 'good'").await,
        0,
        "{}",
        host.log()
    );
    host.stop().await;
}

#[tokio::test]
async fn a_pause_survives_the_host_and_a_good_version_is_recorded() {
    let (database, machine) = (Database::new().await, Machine::new(&["hostile"]));
    let host = machine.start(&database, &[]).await;
    for job in database.enqueue_many("echo", 12, "x").await {
        database.wait_for(job, "successful").await;
    }
    wait_for_verdict(&database, &read("hostile"), "good").await;
    database.enqueue_many("panics", 4, "").await;
    announced(&database, "it is paused", |file| file["paused"] == serde_json::json!(["panics"])).await;
    let paused =
        "SELECT count(*) FROM pgqueuer_verdict WHERE verdict = 'paused' AND entrypoint = 'panics' AND until > now()";
    eventually("it is kept", async || database.count(paused).await == 1).await;
    host.stop().await;
    let host = machine.start(&database, &[]).await;
    let waits = database.enqueue("panics", "").await;
    database.wait_for(database.enqueue("echo", "x").await, "successful").await;
    assert_eq!(database.history(waits).await, ["queued"], "{}", host.log());
    database.cli_ok(&["plugin", "reset", "panics"]).await;
    database.wait_for(waits, "failed").await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_works_without_a_table_for_verdicts() {
    let (database, machine) = (Database::new().await, Machine::new(&[]));
    database.execute("DROP TABLE pgqueuer_verdict").await;
    machine.plugins.put_as("good", "job.wasm");
    let host = machine.start(&database, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    machine.plugins.put_as("bad", "job.wasm");
    announced(&database, "the bad version", |file| file["version"] == "2.0.0").await;
    for job in database.enqueue_many("work", 8, "").await {
        database.wait_for(job, "successful").await;
    }
    announced(&database, "the good version", |file| file["version"] == "1.0.0").await;
    // The host's own judgement lasts as long as it runs, however often it is told to read its
    // folder again.
    database.cli_ok(&["plugin", "reload"]).await;
    host.wait_for_log("taken out of service").await;
    database.cli_ok(&["plugin", "reset", "job"]).await;
    announced(&database, "the bad version again", |file| file["version"] == "2.0.0").await;
    host.stop().await;
}

//! Expand and contract: hosts on the schema of the previous and of the next release, and an upgrade
//! beside running hosts.

use pgq_host_tests::{Database, Host, Plugins, eventually};
use sqlx::AssertSqlSafe;

const PGQUEUER: &str = include_str!("../../migrations/0001_pgqueuer.sql");
/// Without the tables of plugin versions, attempts and hosts.
const BEFORE: &str = include_str!("../fixtures/pgq-host-schemas/1-outputs.sql");
/// Without the table of suspects.
const WITHOUT_SUSPECTS: &str = include_str!("../fixtures/pgq-host-schemas/2-presence.sql");
/// Without the tables of how far old rows have been removed, of lines, pauses and who changed what, and
/// without the key that records outcomes in sessions of handlers.
const WITHOUT_RETENTION: &str = include_str!("../fixtures/pgq-host-schemas/3-deaths.sql");

/// Without what attempts failed and which jobs they enqueued, and without the indexes of held jobs and failed
/// runs.
const WITHOUT_FOLLOW_UPS: &str = include_str!("../fixtures/pgq-host-schemas/4-audit.sql");

/// Without what operators changed of schedules, and without the counted causes of failures.
const WITHOUT_ADJUSTMENTS: &str = include_str!("../fixtures/pgq-host-schemas/5-follow-ups.sql");

/// Without the keys that signed versions of plugins.
const WITHOUT_SIGNERS: &str = include_str!("../fixtures/pgq-host-schemas/6-causes.sql");

/// A database as an earlier release created it.
async fn made_by(before: &str) -> Database {
    let database = Database::empty().await;
    let names = database.queue().names().clone();
    for template in [PGQUEUER, before] {
        sqlx::raw_sql(AssertSqlSafe(names.render(template))).execute(database.pool()).await.unwrap();
    }
    database
}

async fn successful(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await
}

/// One job of each kind of outcome.
async fn all_outcomes(database: &Database) {
    let before = successful(database).await;
    let echo = database.enqueue("echo", "kept").await;
    let failing = database.enqueue("fail", "no luck").await;
    database.enqueue("fail_deleted", "x").await;
    database.enqueue("nap_limited", "1").await;
    database.enqueue("follow_up", "complete").await;
    database.wait_for(echo, "successful").await;
    assert_eq!(database.output(echo).await.as_deref(), Some("kept"));
    database.wait_for(failing, "failed").await;
    assert_eq!(database.history(failing).await, ["queued", "picked", "queued", "picked", "failed"]);
    database.wait_until_done().await;
    assert_eq!(successful(database).await, before + 5, "follow-ups ran, too");
    database.execute("DELETE FROM pgqueuer WHERE status = 'failed'").await;
}

#[tokio::test]
async fn a_host_runs_on_the_schema_before_its_own_and_beside_an_upgrade() {
    let (database, plugins) = (made_by(BEFORE).await, Plugins::with(&["hostile"]));
    let old = Host::start(&database, &plugins, &["--max-concurrent-tasks", "10"]).await;
    old.wait_for_log("that of an earlier release").await;
    all_outcomes(&database).await;

    // The upgrade happens while jobs run and arrive, without stopping anything.
    let done = successful(&database).await;
    let many = database.enqueue_many("nap", 2_000, "1").await.len() as i64;
    eventually("some are done", async || successful(&database).await > done + 20).await;
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let new = Host::start(&database, &plugins, &["--max-concurrent-tasks", "10"]).await;
    // On a busy machine nothing may be left by now, and there must be work for both.
    let many = many + database.enqueue_many("nap", 500, "2").await.len() as i64;
    database.wait_until_done().await;
    assert_eq!(successful(&database).await, done + many);
    let twice = "SELECT count(*) FROM (SELECT FROM pgqueuer_log WHERE status = 'picked' AND entrypoint = 'nap' GROUP BY job_id HAVING count(*) > 1) AS t";
    assert_eq!(database.count(twice).await, 0, "each ran once");
    let noted = database.count("SELECT count(*) FROM pgqueuer_attempt").await;
    assert!(
        0 < noted && noted < many,
        "the new host notes its attempts ({noted}), the old one goes without until it is started again"
    );
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_host").await, 1);

    let log = old.stop().await;
    let complaints = log
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .filter(|line| !line.contains("fail"));
    assert_eq!(complaints.count(), 1, "it said once what is lacking: {log}");
    let old = Host::start(&database, &plugins, &[]).await;
    assert!(!old.log().contains("earlier release"), "{}", old.log());
    eventually("it announces itself now", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 2)
        .await;
    all_outcomes(&database).await;
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn without_suspects_a_lost_worker_counts_as_a_failed_run_until_the_upgrade() {
    let (database, plugins) = (made_by(WITHOUT_SUSPECTS).await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "1"]).await;
    host.wait_for_log("that of an earlier release").await;
    all_outcomes(&database).await;
    let id = database.enqueue("nap", "3600000").await;
    for attempts in 1..=3 {
        eventually("it runs", async || {
            database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 1
        })
        .await;
        // As if its worker had been another one that no longer exists.
        let other = "queue_manager_id = gen_random_uuid(), heartbeat = now() - interval '1 hour'";
        database.execute(&format!("UPDATE pgqueuer SET {other} WHERE id = {id}")).await;
        let failures = format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND attempts = {attempts}");
        eventually("it is charged", async || database.count(&failures).await == 1).await;
    }
    database.wait_for(id, "failed").await;
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    host.stop().await;
    let host = Host::start(&database, &plugins, &[]).await;
    all_outcomes(&database).await;
    let log = host.stop().await;
    assert!(!log.contains("earlier release"), "{log}");
}

#[tokio::test]
async fn without_follow_ups_jobs_run_and_are_looked_at_until_the_upgrade() {
    let (database, plugins) = (made_by(WITHOUT_FOLLOW_UPS).await, Plugins::with(&["hostile"]));
    std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"*\"]\n").unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("lacking=[\"follow_ups\"").await;
    all_outcomes(&database).await;
    let parent = database.enqueue("follow_up", "complete").await;
    database.wait_until_done().await;
    let shown = database.cli_ok(&["job", &parent.to_string(), "--json"]).await.json();
    assert_eq!(shown["attempts"][0]["follow_ups"], serde_json::json!([]), "{shown}");
    let failed = database.cli_ok(&["jobs", "--status", "failed", "--json"]).await.json();
    assert_eq!(failed["jobs"], serde_json::json!([]), "held jobs are found without their index: {failed}");
    host.stop().await;
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let host = Host::start(&database, &plugins, &[]).await;
    assert!(!host.log().contains("earlier release"), "{}", host.log());
    let parent = database.enqueue("follow_up", "complete").await;
    database.wait_until_done().await;
    let shown = database.cli_ok(&["job", &parent.to_string(), "--json"]).await.json();
    assert_eq!(shown["attempts"][0]["follow_ups"].as_array().unwrap().len(), 2, "{shown}");
    host.stop().await;
}

#[tokio::test]
async fn without_adjustments_schedules_run_as_declared_until_the_upgrade() {
    let (database, plugins) = (made_by(WITHOUT_ADJUSTMENTS).await, Plugins::with(&["hostile", "scheduled"]));
    std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"*\"]\n").unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("lacking=[\"adjustments\",\"causes\",\"signers\"]").await;
    let ticks = "SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE entrypoint = 'tick'";
    eventually("it ticks", async || database.count(ticks).await > 2).await;
    let said = database.run_cli(&["schedules", "--pause", "tick"]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host upgrade"), "{said:?}");
    let failing = database.enqueue("fail", "no luck").await;
    database.wait_for(failing, "failed").await;
    let told = database.cli_ok(&["failures", "--json"]).await.json();
    assert!(told["counted_to"].is_null() && told["groups"][0]["entrypoint"] == "fail", "{told}");

    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    // The host of before knows nothing of a change, and goes on; one of now obeys beside it.
    database.cli_ok(&["schedules", "--pause", "tick"]).await;
    let before = database.count(ticks).await;
    eventually("the one that was started before ticks on", async || database.count(ticks).await > before + 1).await;
    host.stop().await;
    let host = Host::start(&database, &plugins, &[]).await;
    let counted = "SELECT count(*) FROM pgqueuer_cause WHERE entrypoint = 'fail'";
    eventually("causes are counted", async || database.count(counted).await == 1).await;
    let next = "SELECT extract(epoch FROM next_run)::bigint FROM pgqueuer_schedules WHERE entrypoint = 'tick'";
    for _ in 0..2 {
        let at = database.count(next).await;
        eventually("it moves on", async || database.count(next).await > at).await;
    }
    let skipped = database.count(ticks).await;
    let at = database.count(next).await;
    eventually("it moves on", async || database.count(next).await > at + 1).await;
    assert_eq!(database.count(ticks).await, skipped, "ticks are skipped");
    assert!(!host.stop().await.contains("earlier release"));
}

#[tokio::test]
async fn without_signers_versions_are_noted_and_looked_at_until_the_upgrade() {
    let (database, plugins) = (made_by(WITHOUT_SIGNERS).await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("lacking=[\"signers\"]").await;
    all_outcomes(&database).await;
    let look = async || database.cli_ok(&["plugin", "versions", "--json"]).await.json();
    assert_eq!(look().await[0]["versions"][0]["signed_by"], serde_json::json!([]));
    let job = database.enqueue("echo", "x").await;
    database.wait_for(job, "successful").await;
    let shown = database.cli_ok(&["job", &job.to_string(), "--json"]).await.json();
    assert_eq!(shown["attempts"][0]["plugin_signed_by"], serde_json::json!([]), "{shown}");
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let new = Host::start(&database, &plugins, &[]).await;
    // Nobody signed it, and the new host says that it looked.
    let noted = "SELECT count(*) FROM pgqueuer_plugin WHERE signed_by = '{}'";
    eventually("it is noted", async || database.count(noted).await == 1).await;
    all_outcomes(&database).await;
    for host in [host, new] {
        host.stop().await;
    }
}

#[tokio::test]
async fn nothing_old_is_removed_before_the_upgrade() {
    let (database, plugins) = (made_by(WITHOUT_RETENTION).await, Plugins::with(&["hostile"]));
    let config = "[plugins.hostile]\nenqueue = [\"*\"]\n[retention]\nlog = \"1d\"\n";
    std::fs::write(plugins.config(), config).unwrap();
    let old = "INSERT INTO pgqueuer_log (created, job_id, status, priority, entrypoint, aggregated)
               VALUES (now() - interval '1 year', 1000000, 'successful', 0, 'old', true)";
    database.execute(old).await;
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("lacking=[\"retention\"").await;
    all_outcomes(&database).await;
    let refused = database.run_cli(&["prune", "--apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("pgq-host upgrade"), "{refused:?}");
    assert!(!host.stop().await.contains(" ERROR "));
    let left = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'old'";
    assert_eq!(database.count(left).await, 1);
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    let host = Host::start(&database, &plugins, &[]).await;
    eventually("it is removed", async || database.count(left).await == 0).await;
    all_outcomes(&database).await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_runs_on_the_schema_after_its_own() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let running = Host::start(&database, &plugins, &[]).await;
    // What migrations/README.md allows a release to add, beside a running host.
    for addition in [
        "ALTER TABLE pgqueuer_host ADD COLUMN region text",
        "ALTER TABLE pgqueuer_attempt ADD COLUMN fuel bigint NOT NULL DEFAULT 0",
        "ALTER TABLE pgqueuer_output ADD COLUMN kind text",
        "ALTER TABLE pgqueuer_plugin ADD COLUMN built_by text",
        "CREATE INDEX pgqueuer_output_entrypoint ON pgqueuer_output (entrypoint)",
        "CREATE TABLE pgqueuer_progress (job_id bigint NOT NULL PRIMARY KEY, done real)",
    ] {
        database.execute(addition).await;
    }
    all_outcomes(&database).await;
    let started = Host::start(&database, &plugins, &[]).await;
    eventually("both are announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 2).await;
    all_outcomes(&database).await;
    // The tools of this release accept the next one's tables as their own, and remove nothing.
    database.cli_ok(&["verify", "--expect", "present"]).await;
    assert!(database.cli_ok(&["upgrade"]).await.stderr.contains("is up to date"));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_progress").await, 0);
    for host in [running, started] {
        let log = host.stop().await;
        assert!(!log.contains(" ERROR ") && !log.contains("earlier release"), "{log}");
    }
}

#[tokio::test]
async fn without_the_key_of_handlers_jobs_run_and_none_uses_the_database() {
    let (database, plugins) = (made_by(WITHOUT_RETENTION).await, Plugins::with(&["hostile", "sql"]));
    let user: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(database.pool()).await.unwrap();
    let config = format!("[plugins.hostile]\nenqueue = [\"*\"]\n[plugins.sql.sql]\nrole = \"{user}\"\n");
    std::fs::write(plugins.config(), config).unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    all_outcomes(&database).await;
    let id = database.enqueue("once", r#"[{"execute": ["SELECT 1"]}]"#).await;
    database.wait_for(id, "failed").await;
    assert!(database.traceback(id).await["exception_message"].as_str().unwrap().contains("pgq-host upgrade"));
    host.stop().await;
}

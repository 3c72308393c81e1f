//! Schedules as operators change them: paused, run by another expression, put back. Hosts obey, and
//! PgQueuer's table stays as its workers know it.

use std::path::Path;

use chrono::{DateTime, Utc};
use pgq_host_tests::{Database, Host, Plugins, eventually, pgq};
use serde_json::{Value, json};

use crate::web::Web;

/// Only its schedules, and what it is told, make the host read the database.
const NO_POLLING: [&str; 2] = ["--dequeue-timeout", "3600"];

async fn started(args: &[&str]) -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let host = Host::start(&database, &plugins, args).await;
    eventually("the rows are there", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 4)
        .await;
    (database, plugins, host)
}

async fn made(database: &Database, entrypoint: &str) -> i64 {
    database.count(&format!("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE entrypoint = '{entrypoint}'")).await
}

/// Ticks that hosts have moved on from since, whether or not they became jobs.
async fn moved_on(database: &Database, entrypoint: &str, times: usize) {
    for _ in 0..times {
        let next = format!(
            "SELECT extract(epoch FROM max(next_run))::bigint FROM pgqueuer_schedules WHERE entrypoint = '{entrypoint}'"
        );
        let before = database.count(&next).await;
        eventually("the schedule moves on", async || database.count(&next).await > before).await;
    }
}

fn of(schedules: &Value, entrypoint: &str) -> Value {
    let found = schedules.as_array().unwrap().iter().find(|row| row["entrypoint"] == entrypoint);
    found.cloned().unwrap_or_else(|| panic!("no {entrypoint} in {schedules}"))
}

async fn listed(database: &Database, entrypoint: &str) -> Value {
    of(&database.cli_ok(&["schedules", "--json"]).await.json(), entrypoint)
}

#[tokio::test]
async fn a_paused_schedule_skips_its_ticks_over_restarts_and_says_who_paused_it() {
    let (database, plugins, host) = started(&NO_POLLING).await;
    eventually("it ticks", async || made(&database, "tick").await >= 2).await;
    let args = ["schedules", "--pause", "tick", "--author", "ann", "--reason", "the report is wrong", "--json"];
    let told = database.cli_ok(&args).await;
    assert!(told.stderr.contains("Python workers know nothing of it"), "{told:?}");
    let row = of(&told.json(), "tick");
    assert_eq!(
        (&row["paused"], &row["author"], &row["reason"]),
        (&json!(true), &json!("ann"), &json!("the report is wrong"))
    );
    assert!(database.cli_ok(&["schedules"]).await.stdout.contains("paused (ann: the report is wrong)"));
    // A tick that was under way may still come.
    moved_on(&database, "tick", 2).await;
    let (before, ran) = (made(&database, "tick").await, listed(&database, "tick").await["last_run"].clone());
    moved_on(&database, "tick", 3).await;
    assert_eq!(made(&database, "tick").await, before, "its ticks are skipped");
    host.stop().await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    moved_on(&database, "tick", 3).await;
    assert_eq!((made(&database, "tick").await, &listed(&database, "tick").await["last_run"]), (before, &ran));
    // Other schedules go on, and a paused one can be run by hand.
    let id = listed(&database, "tick").await["id"].to_string();
    database.cli_ok(&["schedules", "--run", &id]).await;
    eventually("it was run by hand", async || made(&database, "tick").await == before + 1).await;
    // PgQueuer's own command reads its table as ever.
    let output = pgq(&database.dsn()).arg("schedules").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    database.cli_ok(&["schedules", "--resume", &id, "--author", "bob"]).await;
    eventually("it ticks again", async || made(&database, "tick").await > before + 2).await;
    assert_eq!(listed(&database, "tick").await["author"], Value::Null, "nothing is changed any more");
    let actions: Vec<(String, String)> = sqlx::query_as("SELECT action, author FROM pgqueuer_audit ORDER BY id")
        .fetch_all(database.pool())
        .await
        .unwrap();
    let [paused, run, resumed] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((paused.0.as_str(), paused.1.as_str()), ("pause_schedule", "ann"));
    assert_eq!((run.0.as_str(), resumed.0.as_str(), resumed.1.as_str()), ("run_schedule", "resume_schedule", "bob"));
    host.stop().await;
}

#[tokio::test]
async fn a_tick_that_nobody_skipped_while_it_was_paused_does_not_run_late() {
    let (database, plugins, host) = started(&NO_POLLING).await;
    database.cli_ok(&["schedules", "--pause", "report"]).await;
    host.stop().await;
    database
        .execute("UPDATE pgqueuer_schedules SET next_run = now() - interval '2 hours' WHERE entrypoint = 'report'")
        .await;
    database.cli_ok(&["schedules", "--resume", "report"]).await;
    let due = "SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint = 'report' AND next_run <= now()";
    assert_eq!(database.count(due).await, 0);
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("others tick", async || made(&database, "tick").await > 2).await;
    assert_eq!(made(&database, "report").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn an_edited_schedule_runs_by_its_new_expression_at_once_and_as_declared_when_it_is_put_back() {
    let (database, plugins, host) = started(&NO_POLLING).await;
    let id = listed(&database, "flaky").await["id"].to_string();
    // Declared for New Year.
    let args = ["schedules", "--edit", &id, "--expression", "* * * * * *", "--reason", "catch up"];
    database.cli_ok(&args).await;
    let row = listed(&database, "flaky").await;
    assert_eq!((&row["expression"], &row["replaced"]), (&json!("0 0 1 1 *"), &json!("* * * * * *")));
    eventually("it ticks each second", async || made(&database, "flaky").await >= 3).await;
    let header = "SELECT count(*) FROM pgqueuer_log AS l JOIN pgqueuer_output AS o USING (job_id)
                  WHERE l.entrypoint = 'flaky' AND convert_from(o.output, 'UTF8') LIKE '%0 0 1 1 *%'";
    eventually("handlers see the declared one", async || database.count(header).await > 0).await;
    // Another host and the next start know it.
    host.stop().await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    let before = made(&database, "flaky").await;
    eventually("it still does", async || made(&database, "flaky").await > before + 1).await;

    database
        .cli_ok(&["schedules", "--edit", &id, "--expression", "30 9 * * mon", "--time-zone", "Europe/Berlin"])
        .await;
    let local = format!(
        "SELECT count(*) FROM pgqueuer_schedules WHERE id = {id}
         AND to_char(next_run AT TIME ZONE 'Europe/Berlin', 'FMDay HH24:MI:SS') = 'Monday 09:30:00' AND next_run - now() < '8 days'"
    );
    assert_eq!(database.count(&local).await, 1);
    assert_eq!(listed(&database, "flaky").await["replaced"], "CRON_TZ=Europe/Berlin 30 9 * * mon");

    database.cli_ok(&["schedules", "--restore", &id]).await;
    let row = listed(&database, "flaky").await;
    let next: DateTime<Utc> = row["next_run"].as_str().unwrap().parse().unwrap();
    assert!(row["replaced"].is_null() && next.format("%m-%d %H:%M:%S").to_string() == "01-01 00:00:00", "{row}");
    host.stop().await;
}

#[tokio::test]
async fn mistakes_are_named_and_a_database_before_the_upgrade_says_so() {
    let (database, _plugins, host) = started(&[]).await;
    for (args, code, named) in [
        (&["schedules", "--edit", "1", "--expression", "61 * * * *"][..], 2, "61 * * * *"),
        (&["schedules", "--edit", "1", "--expression", "* * * * *", "--time-zone", "Mars/Base"], 2, "Mars/Base"),
        (&["schedules", "--edit", "1"], 2, "--expression"),
        (&["schedules", "--pause", "999999"], 1, "no schedule 999999"),
        (&["schedules", "--pause", "nobody"], 1, "no schedule of \"nobody\""),
        (&["schedules", "--run", "999999"], 1, "no schedule 999999"),
        (&["schedules", "--pause", "1", "--remove", "2"], 2, "cannot be used with"),
    ] {
        let said = database.run_cli(args).await;
        assert!(said.code == code && said.stderr.contains(named), "{args:?}: {said:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_adjustment").await, 0);
    host.stop().await;
    database.execute("DROP TABLE pgqueuer_adjustment").await;
    assert_eq!(database.cli_ok(&["schedules", "--json"]).await.json().as_array().unwrap().len(), 4);
    let said = database.run_cli(&["schedules", "--pause", "tick"]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host upgrade"), "{said:?}");
}

#[tokio::test]
async fn the_api_changes_schedules_for_operators_alone() {
    let (database, _plugins, _host) = started(&[]).await;
    let tokens = tempfile::tempdir().unwrap();
    let file = tokens.path().join("tokens");
    let (operator, viewer) = ("an-operators-token-for-ticks", "a-viewers-token-for-ticks-01");
    std::fs::write(&file, format!("bot operator {operator}\neye viewer {viewer}\n")).unwrap();
    let web = Web::start(&database.dsn(), &["--token-file", Path::new(&file).to_str().unwrap()]).await;
    let id = listed(&database, "report").await["id"].clone();
    let ask = async |token: &str, verb: &str, body: Value| {
        let ask = web.ask(&format!("POST /api/v1/schedules/{id}/{verb}")).bearer(token).json(&body);
        let answer = ask.answer().await;
        (answer.status, serde_json::from_str::<Value>(&answer.body).unwrap_or_default())
    };
    assert_eq!(ask(viewer, "pause", json!({})).await.0, 403);
    let (status, paused) = ask(operator, "pause", json!({ "reason": "wrong" })).await;
    assert_eq!((status, &paused["paused"]), (200, &json!(true)), "{paused}");
    let (status, edited) = ask(operator, "edit", json!({ "expression": "5 * * * *", "time_zone": "Asia/Tokyo" })).await;
    assert_eq!(
        (status, &edited["replaced"], &edited["paused"]),
        (200, &json!("CRON_TZ=Asia/Tokyo 5 * * * *"), &json!(true))
    );
    let (status, refused) = ask(operator, "edit", json!({ "expression": "99 * * * *" })).await;
    assert!(status == 400 && refused["detail"].as_str().unwrap().contains("99 * * * *"), "{refused}");
    assert_eq!(ask(operator, "restore", json!({})).await.1["replaced"], Value::Null);
    assert_eq!(ask(operator, "resume", json!({})).await.1["paused"], json!(false));
    let answer = web.ask("POST /api/v1/schedules/999999/pause").bearer(operator).json(json!({})).answer().await;
    assert_eq!(answer.status, 404);
}

//! Schedules: each tick becomes exactly one job, whoever shares the table.

use std::path::Path;

use chrono::{DateTime, Timelike as _, Utc};
use pgq_host_tests::{Database, Host, PATIENCE, Plugins, eventually, everything, pgq};
use serde_json::Value;
use sqlx::Row as _;

/// Only its schedules make the host read the database.
const NO_POLLING: [&str; 2] = ["--dequeue-timeout", "3600"];

async fn scheduled(args: &[&str]) -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let host = Host::start(&database, &plugins, args).await;
    (database, plugins, host)
}

/// Record who took a tick, when the row was due before, and when it is due after. Only Python sets
/// rows to `picked`.
async fn witness(database: &Database) {
    database
        .execute(
            "CREATE TABLE steps (id bigserial, expression text, entrypoint text, python bool, was timestamptz, is_now timestamptz);
             CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO steps (expression, entrypoint, python, was, is_now)
                 VALUES (NEW.expression, NEW.entrypoint, NEW.status = 'picked', OLD.next_run, NEW.next_run);
                 RETURN NULL;
             END $$",
        )
        .await;
    database
        .execute(
            "CREATE TRIGGER note AFTER UPDATE ON pgqueuer_schedules FOR EACH ROW
             WHEN (OLD.next_run <> NEW.next_run OR (OLD.status, NEW.status) = ('queued', 'picked')) EXECUTE FUNCTION note()",
        )
        .await;
}

/// The ticks whose jobs are done, as the guest saw them in its headers.
async fn ticks(database: &Database, entrypoint: &str) -> Vec<DateTime<Utc>> {
    let outputs: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT o.output FROM pgqueuer_output o JOIN pgqueuer_log l ON l.job_id = o.job_id AND l.status = 'successful'
         WHERE l.entrypoint = $1 ORDER BY o.job_id",
    )
    .bind(entrypoint)
    .fetch_all(database.pool())
    .await
    .unwrap();
    let header = |output: &Vec<u8>| serde_json::from_slice::<Value>(output).unwrap();
    outputs.iter().map(|output| header(output)["scheduled_for"].as_str().unwrap().parse().unwrap()).collect()
}

async fn made(database: &Database, entrypoint: &str) -> i64 {
    database.count(&format!("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE entrypoint = '{entrypoint}'")).await
}

/// Make every schedule of an entrypoint due. Hosts check at the next tick of `tick`, within a
/// second.
async fn make_due(database: &Database, entrypoint: &str, ago: &str) {
    database
        .execute(&format!(
            "UPDATE pgqueuer_schedules SET next_run = date_trunc('seconds', now() - interval '{ago}') WHERE entrypoint = '{entrypoint}'"
        ))
        .await;
}

fn all_different(ticks: &[DateTime<Utc>]) -> bool {
    let mut sorted = ticks.to_vec();
    sorted.sort();
    sorted.dedup();
    sorted.len() == ticks.len()
}

#[tokio::test]
async fn declared_schedules_are_in_the_table_as_pgqueuer_writes_them() {
    let (database, _plugins, host) = scheduled(&NO_POLLING).await;
    let rows = "SELECT count(*) FROM pgqueuer_schedules";
    eventually("the rows are there", async || database.count(rows).await == 4).await;
    let keys: Vec<String> = sqlx::query(
        "SELECT entrypoint, expression FROM pgqueuer_schedules ORDER BY entrypoint, expression COLLATE \"C\"",
    )
    .fetch_all(database.pool())
    .await
    .unwrap()
    .iter()
    .map(|row| format!("{}: {}", row.get::<String, _>(0), row.get::<String, _>(1)))
    .collect();
    let expected =
        ["flaky: 0 0 1 1 *", "report: 0 * * * *", "report: CRON_TZ=Europe/Berlin 0 9 * * mon", "tick: * * * * * *"];
    assert_eq!(keys, expected);
    // Nothing is due early: New Year, the full hour, and a Monday in Berlin.
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_schedules WHERE next_run <= now() - interval '2 s'").await,
        0
    );
    let local = "SELECT count(*) FROM pgqueuer_schedules WHERE expression LIKE 'CRON_TZ%'
                 AND to_char(next_run AT TIME ZONE 'Europe/Berlin', 'FMDay HH24:MI:SS') = 'Monday 09:00:00' AND next_run - now() < '8 days'";
    assert_eq!(database.count(local).await, 1);
    // PgQueuer's own command line can read all of it.
    let output = pgq(&database.dsn()).arg("schedules").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    host.stop().await;
}

#[tokio::test]
async fn a_tick_each_second_becomes_a_job_with_its_log() {
    let (database, _plugins, host) = scheduled(&NO_POLLING).await;
    eventually("five ticks ran", async || ticks(&database, "tick").await.len() >= 5).await;
    host.stop().await;
    let ticks = ticks(&database, "tick").await;
    // An overloaded machine may skip a tick, but no tick comes twice or out of order.
    assert!(all_different(&ticks) && ticks.is_sorted() && ticks.iter().all(|tick| tick.nanosecond() == 0), "{ticks:?}");
    assert!((ticks[4] - ticks[0]).num_seconds() <= 6, "not each second: {ticks:?}");
    let id = database.count("SELECT min(job_id) FROM pgqueuer_log WHERE entrypoint = 'tick'").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    let header: Value = serde_json::from_str(&database.output(id).await.unwrap()).unwrap();
    assert_eq!(header["expression"], "* * * * * *");
    let row = "SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint = 'tick' AND status = 'queued' AND last_run IS NOT NULL";
    assert_eq!(database.count(row).await, 1);
}

#[tokio::test]
async fn a_tick_is_retried_like_any_job() {
    let (database, _plugins, host) = scheduled(&NO_POLLING).await;
    eventually("the row is there", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 4).await;
    make_due(&database, "flaky", "0 s").await;
    eventually("it ran", async || ticks(&database, "flaky").await.len() == 1).await;
    let id = database.count("SELECT min(job_id) FROM pgqueuer_log WHERE entrypoint = 'flaky'").await;
    assert_eq!(database.history(id).await, ["queued", "picked", "queued", "picked", "successful"]);
    host.stop().await;
}

#[tokio::test]
async fn missed_ticks_make_one_late_run() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("the rows are there", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 4)
        .await;
    host.stop().await;
    // After three hours without a host, each of `report`'s schedules has missed several ticks.
    make_due(&database, "report", "3 hours").await;
    let was: DateTime<Utc> =
        sqlx::query_scalar("SELECT next_run FROM pgqueuer_schedules WHERE expression = '0 * * * *'")
            .fetch_one(database.pool())
            .await
            .unwrap();
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("the late runs", async || ticks(&database, "report").await.len() == 2).await;
    let seen = ticks(&database, "tick").await.len();
    eventually("more ticks, and no more late runs", async || ticks(&database, "tick").await.len() > seen + 2).await;
    assert_eq!(ticks(&database, "report").await, [was, was]);
    let ahead = "SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint = 'report' AND next_run > now()";
    assert_eq!(database.count(ahead).await, 2);
    host.stop().await;
}

#[tokio::test]
async fn hosts_that_share_a_schedule_never_double_a_tick() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    witness(&database).await;
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(Host::start(&database, &plugins, &NO_POLLING).await);
    }
    eventually("ten ticks ran", async || ticks(&database, "tick").await.len() >= 10).await;
    // One dies between ticks, another is stopped, and the third continues.
    hosts.pop().unwrap().kill().await;
    hosts.pop().unwrap().stop().await;
    let before = ticks(&database, "tick").await.len();
    eventually("ticks go on", async || ticks(&database, "tick").await.len() >= before + 3).await;
    hosts.pop().unwrap().stop().await;
    let ticks: Vec<DateTime<Utc>> =
        sqlx::query_scalar("SELECT was FROM steps WHERE entrypoint = 'tick'").fetch_all(database.pool()).await.unwrap();
    assert!(all_different(&ticks), "{ticks:?}");
    assert_eq!(i64::try_from(ticks.len()).unwrap(), made(&database, "tick").await, "one job per step of the table");
}

#[tokio::test]
async fn python_workers_and_hosts_share_a_schedule_and_no_tick_runs_twice() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    witness(&database).await;
    database.execute("CREATE TABLE python_scheduled (expression text, next_run timestamptz)").await;
    let catalog = everything(&mut database.connect().await, "public").await;
    let mut command = pgq(&database.dsn());
    command.args(["run", "scheduler:main", "--log-level", "WARNING", "--", "tick", "* * * * * *", "*/2 * * * * *"]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("interop"));
    let python = Host::launch(command);
    let theirs = "SELECT count(*) FROM python_scheduled WHERE expression = '* * * * * *'";
    eventually("Python runs it", async || {
        assert!(!python.log().contains("Traceback"), "{}", python.log());
        database.count(theirs).await >= 2
    })
    .await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("both had the chance for some ticks", async || ticks(&database, "tick").await.len() >= 8).await;
    host.stop().await;
    let before = database.count(theirs).await;
    eventually("Python goes on", async || database.count(theirs).await >= before + 2).await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_schedules WHERE expression = '* * * * * *'").await,
        1,
        "one row for both"
    );
    python.kill().await;
    let steps = |which: &str| format!("SELECT count(*) FROM steps WHERE expression = '* * * * * *' AND {which}");
    assert_eq!(database.count(&steps("NOT python")).await, made(&database, "tick").await, "one job per step of a host");
    // If it was killed between a step and its record, Python may have taken one more step.
    let noted = database.count(theirs).await;
    assert!((noted..=noted + 1).contains(&database.count(&steps("python")).await));
    // If asked a moment before a tick, PgQueuer takes it and leaves the row due at the very same
    // tick, which then runs again. That is PgQueuer's own behaviour. Where the row moves on, no
    // tick is taken twice.
    let ticks: Vec<(DateTime<Utc>, bool)> =
        sqlx::query_as("SELECT was, python FROM steps WHERE expression = '* * * * * *' AND is_now > was ORDER BY id")
            .fetch_all(database.pool())
            .await
            .unwrap();
    assert!(all_different(&ticks.iter().map(|(tick, _)| *tick).collect::<Vec<_>>()), "{ticks:?}");
    assert_eq!(everything(&mut database.connect().await, "public").await, catalog, "neither changed the schema");
}

#[tokio::test]
async fn a_schedule_that_a_python_worker_died_with_is_taken_over_after_its_lease() {
    let (database, _plugins, host) = scheduled(&NO_POLLING).await;
    eventually("the rows are there", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 4)
        .await;
    let held = |age: &str| {
        format!(
            "UPDATE pgqueuer_schedules SET status = 'picked', heartbeat = date_trunc('seconds', now()) - interval '{age}' WHERE entrypoint = 'flaky'"
        )
    };
    database.execute(&held("20 s")).await;
    let seen = ticks(&database, "tick").await.len();
    eventually("hosts look", async || ticks(&database, "tick").await.len() > seen + 1).await;
    assert_eq!(made(&database, "flaky").await, 0, "whoever runs it is alive");
    database.execute(&held("31 s")).await;
    eventually("it is taken over", async || ticks(&database, "flaky").await.len() == 1).await;
    assert_eq!(
        database
            .count("SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint = 'flaky' AND status = 'queued'")
            .await,
        1
    );
    host.stop().await;
}

#[tokio::test]
async fn orphaned_schedules_are_reported_and_left_alone() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    database
        .execute(
            "INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES
                ('5 4 * * *', 'report', now() - interval '1 hour'), ('6 4 * * *', 'python_has_it', now() + interval '1 hour'),
                ('7 4 * * *', 'plugin_gone', now() - interval '1 day')",
        )
        .await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("some ticks ran", async || ticks(&database, "tick").await.len() >= 3).await;
    let log = host.stop().await;
    assert_eq!(log.matches("no worker runs this schedule").count(), 2, "once each: {log}");
    assert!(log.contains("5 4 * * *") && log.contains("plugin_gone") && !log.contains("6 4 * * *"), "{log}");
    assert_eq!(made(&database, "report").await + made(&database, "plugin_gone").await, 0);
    assert_eq!(
        database
            .count("SELECT count(*) FROM pgqueuer_schedules WHERE last_run IS NULL AND expression LIKE '_ 4 * * *'")
            .await,
        3
    );
}

#[tokio::test]
async fn a_removed_row_stays_away_until_the_next_start() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    let rows = "SELECT count(*) FROM pgqueuer_schedules";
    eventually("the rows are there", async || database.count(rows).await == 4).await;
    database.execute("DELETE FROM pgqueuer_schedules WHERE entrypoint = 'report'").await;
    host.wait_for_log("was removed").await;
    assert_eq!(database.count(rows).await, 2);
    host.stop().await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    eventually("the rows are back", async || database.count(rows).await == 4).await;
    host.stop().await;
}

#[tokio::test]
async fn a_draining_host_runs_no_schedule() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let mut host = Host::start(&database, &plugins, &["--mode", "drain"]).await;
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_schedules").await, 0);
}

#[tokio::test]
async fn without_schedules_the_table_is_not_touched() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // A role without the privilege would only notice by using the table.
    database.execute("ALTER TABLE pgqueuer_schedules RENAME COLUMN next_run TO gone").await;
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    assert!(!host.stop().await.contains("schedules"));
}

#[tokio::test]
async fn a_plugin_with_invalid_schedules_is_refused_with_all_mistakes() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["schedule-lies"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let log = host.stop().await;
    for part in ["plugin refused", "0 0 31 2 *", "is never due", "61", "declared twice", "Europe/Atlantis"] {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
}

#[tokio::test]
async fn a_database_that_is_down_delays_schedules_and_ends_nothing() {
    let (database, _plugins, host) = scheduled(&NO_POLLING).await;
    eventually("a tick ran", async || !ticks(&database, "tick").await.is_empty()).await;
    database.execute("ALTER TABLE pgqueuer_schedules RENAME TO away").await;
    host.wait_for_log("cannot read the schedules").await;
    database.execute("ALTER TABLE away RENAME TO pgqueuer_schedules").await;
    let before = ticks(&database, "tick").await.len();
    let deadline = std::time::Instant::now() + PATIENCE;
    while ticks(&database, "tick").await.len() < before + 2 {
        assert!(std::time::Instant::now() < deadline, "{}", host.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn schedules_follow_the_plugins_that_are_loaded_while_the_host_runs() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    let jobs = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'tick' AND status = 'queued'";
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_schedules").await, 0);

    plugins.put("scheduled");
    eventually("ticks come", async || database.count(jobs).await >= 2).await;
    plugins.remove("scheduled.wasm");
    // The row becomes overdue because nobody moves it on.
    let stale =
        "SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint = 'tick' AND next_run < now() - interval '2 seconds'";
    eventually("ticks stop", async || database.count(stale).await == 1).await;
    let before = database.count(jobs).await;
    plugins.put("scheduled");
    eventually("ticks come again", async || database.count(jobs).await >= before + 2).await;
    host.stop().await;
}

/// The server's clock was an hour ahead and went back, so what it wrote then is in the future.
#[tokio::test]
async fn a_schedule_that_the_servers_clock_left_an_hour_ahead_is_moved_back_and_logged() {
    let (database, plugins, host) = scheduled(&NO_POLLING).await;
    eventually("the schedules are there", async || {
        database.count("SELECT count(*) FROM pgqueuer_schedules").await >= 2
    })
    .await;
    host.stop().await;
    let ahead = "next_run = next_run + interval '1 hour', last_run = now() + interval '59 minutes', updated = now() + interval '59 minutes'";
    database.execute(&format!("UPDATE pgqueuer_schedules SET {ahead} WHERE entrypoint = 'tick'")).await;
    // An operator postponed this one.
    let put_off = "UPDATE pgqueuer_schedules SET next_run = now() + interval '1 hour', last_run = now(), updated = now() WHERE entrypoint <> 'tick'";
    database.execute(put_off).await;
    let examined = database.run_cli(&["doctor"]).await;
    assert!(examined.stdout.contains("ahead of the server's clock"), "{examined:?}");
    let before = made(&database, "tick").await;
    let host = Host::start(&database, &plugins, &NO_POLLING).await;
    host.wait_for_log("the server's clock was ahead").await;
    eventually("it ticks", async || made(&database, "tick").await >= before + 2).await;
    let log = host.stop().await;
    assert_eq!(log.matches("the server's clock was ahead").count(), 1, "{log}");
    let still = "SELECT count(*) FROM pgqueuer_schedules WHERE entrypoint <> 'tick' AND next_run < now() + interval '50 minutes'";
    assert_eq!(database.count(still).await, 0, "what an operator put off is left alone");
    assert!(!database.run_cli(&["doctor"]).await.stdout.contains("ahead of the server's clock"));
}

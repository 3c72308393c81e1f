//! What an operator pauses is left in the queue by the whole fleet, however its jobs are claimed.

use pgq_host_tests::{Database, Host, Plugins, eventually};
use serde_json::{Value, json};

/// Everything that was ever claimed of an entrypoint.
async fn claimed(database: &Database, entrypoint: &str) -> i64 {
    database
        .count(&format!("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = '{entrypoint}' AND status = 'picked'"))
        .await
}

async fn ended(database: &Database, entrypoint: &str) -> i64 {
    let ended = "status IN ('successful', 'failed', 'exception')";
    database.count(&format!("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = '{entrypoint}' AND {ended}")).await
}

async fn queued(database: &Database, entrypoint: &str) -> i64 {
    database
        .count(&format!("SELECT count(*) FROM pgqueuer WHERE entrypoint = '{entrypoint}' AND status = 'queued'"))
        .await
}

/// Until all hosts have said so this often.
async fn said(hosts: &[&Host], text: &str, times: usize) {
    for host in hosts {
        eventually(&format!("{text:?} {times} times"), async || host.log().matches(text).count() >= times).await;
    }
}

const PAUSED: &str = "paused by an operator: no job";
/// With these, only notifications and their own clocks wake hosts.
const FEW: [&str; 4] = ["--max-concurrent-tasks", "2", "--dequeue-timeout", "3600"];

#[tokio::test]
async fn a_pause_holds_for_all_hosts_at_once_lets_runs_end_and_outlives_a_restart() {
    // As they are claimed: locked, marked, and with a limit, whose slots are handed over.
    for (entrypoint, claim) in [("nap", "locked"), ("nap", "marked"), ("nap_limited", "auto")] {
        let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
        std::fs::write(plugins.config(), format!("[plugins.hostile]\nclaim = \"{claim}\"\n")).unwrap();
        let hosts = [Host::start(&database, &plugins, &FEW).await, Host::start(&database, &plugins, &FEW).await];
        database.enqueue_many(entrypoint, 2_000, "3").await;
        eventually("some ran", async || ended(&database, entrypoint).await >= 20).await;
        let args =
            ["pause", "--entrypoint", entrypoint, "--reason", "the partner is down", "--author", "ann", "--json"];
        let told = database.cli_ok(&args).await;
        assert_eq!(told.json()["hosts"], 2, "{told:?}");
        assert!(told.stderr.contains("Python workers know nothing of this"), "{told:?}");
        said(&[&hosts[0], &hosts[1]], PAUSED, 1).await;
        // What began ends, and nothing else begins: what was claimed and waited is put back.
        eventually("nothing runs", async || {
            database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 0
        })
        .await;
        let others = database.enqueue_many("echo", 20, "on").await;
        for id in others {
            database.wait_for(id, "successful").await;
        }
        let (claims, left) = (claimed(&database, entrypoint).await, queued(&database, entrypoint).await);
        assert!(left > 100, "{claim}: {left} left");
        let [first, second] = hosts;
        first.stop().await;
        let third = Host::start(&database, &plugins, &FEW).await;
        let others = [database.enqueue(entrypoint, "3").await, database.enqueue("echo", "still").await];
        database.wait_for(others[1], "successful").await;
        assert_eq!((claimed(&database, entrypoint).await, queued(&database, entrypoint).await), (claims, left + 1));
        database.execute(&format!("DELETE FROM pgqueuer WHERE id IN (SELECT id FROM pgqueuer WHERE entrypoint = '{entrypoint}' ORDER BY id DESC OFFSET 50)")).await;

        let listed = database.cli_ok(&["pauses", "--json"]).await.json();
        let row = &listed[0];
        assert_eq!(
            (&row["kind"], &row["name"], &row["author"]),
            (&json!("entrypoint"), &json!(entrypoint), &json!("ann"))
        );
        assert_eq!((&row["reason"], &row["until"]), (&json!("the partner is down"), &Value::Null));
        assert_eq!(
            row["role"],
            json!(
                sqlx::query_scalar::<_, String>("SELECT session_user::text").fetch_one(database.pool()).await.unwrap()
            )
        );
        database.cli_ok(&["resume", "--entrypoint", entrypoint]).await;
        database.wait_for(others[0], "successful").await;
        database.wait_until_done().await;
        let again = database.run_cli(&["resume", "--entrypoint", entrypoint]).await;
        assert!(again.code == 1 && again.stderr.contains("not paused"), "{again:?}");
        second.stop().await;
        third.stop().await;
    }
}

#[tokio::test]
async fn plugins_digests_and_everything_can_be_paused_and_a_pause_may_end_by_itself() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "good"]));
    let host = Host::start(&database, &plugins, &FEW).await;
    let listed = database.cli_ok(&["plugin", "list", "--hosts", "--json"]).await.json();
    let files = listed[0]["plugins"].as_array().unwrap();
    let good = files.iter().find(|file| file["plugin"] == "job").unwrap()["sha256"].as_str().unwrap().to_owned();
    let mut times = 0;
    for (target, waits, runs) in [
        (&["--plugin", "job"][..], "work", Some("echo")),
        (&["--sha256", &good[..10]], "work", Some("echo")),
        (&["--plugin", "hostile"], "echo", Some("work")),
        (&["--all"], "work", None),
    ] {
        times += 1;
        database.cli_ok(&[&["pause", "--reason", "r"], target].concat()).await;
        said(&[&host], PAUSED, times).await;
        let waiting = database.enqueue(waits, "").await;
        if let Some(runs) = runs {
            let id = database.enqueue(runs, "").await;
            database.wait_for(id, "successful").await;
        }
        assert_eq!(database.history(waiting).await, ["queued"], "{target:?}");
        let state = database.cli_ok(&["plugin", "list", "--hosts"]).await.stdout;
        assert!(state.contains("paused by an operator"), "{state}");
        database.cli_ok(&[&["resume"], target].concat()).await;
        database.wait_for(waiting, "successful").await;
    }
    // By itself: what it lasts is measured by the database's clock.
    let until = database.cli_ok(&["pause", "--all", "--reason", "r", "--for", "2", "--json"]).await.json();
    assert!(until["until"].is_string(), "{until}");
    said(&[&host], PAUSED, times + 1).await;
    let id = database.enqueue("work", "").await;
    database.wait_for(id, "successful").await;
    let after = "SELECT count(*) FROM pgqueuer_pause p, pgqueuer_log l WHERE l.status = 'picked' AND l.created >= p.until AND l.job_id = ";
    assert_eq!(database.count(&format!("{after}{id}")).await, 1, "not before its end");
    assert_eq!(database.cli_ok(&["pauses", "--json"]).await.json(), json!([]));
    // Text in a table is text.
    database.cli_ok(&["pause", "--entrypoint", "x\u{1b}[2J", "--reason", "a\nb\u{7}"]).await;
    let table = database.cli_ok(&["pauses"]).await.stdout;
    assert!(table.contains("x\\x1b[2J") && table.contains("a\\nb\\x07"), "{table}");
    for (args, names) in
        [(&["pause", "--reason", "r"][..], "--all"), (&["pause", "--all"], "--reason"), (&["resume"], "--all")]
    {
        let said = database.run_cli(args).await;
        assert!(said.code == 2 && said.stderr.contains(names), "{args:?}: {said:?}");
    }
    host.stop().await;
}

#[tokio::test]
async fn ticks_of_what_is_paused_wait_as_jobs_or_are_skipped() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let host = Host::start(&database, &plugins, &FEW).await;
    eventually("it ticks", async || ended(&database, "tick").await > 0).await;
    database.cli_ok(&["pause", "--entrypoint", "tick", "--reason", "r"]).await;
    said(&[&host], PAUSED, 1).await;
    eventually("ticks wait", async || queued(&database, "tick").await >= 2).await;
    // Now they are skipped: the schedule moves on, and no job is made.
    database.cli_ok(&["pause", "--entrypoint", "tick", "--reason", "r", "--skip-ticks"]).await;
    let next = "SELECT extract(epoch FROM next_run)::bigint FROM pgqueuer_schedules WHERE entrypoint = 'tick'";
    let made = "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'tick'";
    // It may still be told, so the jobs are counted once a tick passed without one.
    let mut before = (0, 0);
    eventually("a tick is skipped", async || {
        let now = (database.count(next).await, database.count(made).await);
        let skipped = now.0 > before.0 && now.1 == before.1;
        before = if now.0 > before.0 { now } else { before };
        skipped
    })
    .await;
    let last_run = "SELECT extract(epoch FROM last_run)::bigint FROM pgqueuer_schedules WHERE entrypoint = 'tick'";
    let last = database.count(last_run).await;
    eventually("more are skipped", async || database.count(next).await > before.0 + 2).await;
    assert_eq!((database.count(made).await, database.count(last_run).await), (before.1, last), "nothing ran");
    database.cli_ok(&["resume", "--entrypoint", "tick"]).await;
    eventually("it ticks again", async || database.count(last_run).await > last).await;
    eventually("what waited ran", async || ended(&database, "tick").await > before.1).await;
    host.stop().await;
}

#[tokio::test]
async fn a_database_that_upgrade_has_not_reached_knows_no_pauses() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database.execute("DROP TABLE pgqueuer_pause").await;
    let said = database.run_cli(&["pause", "--all", "--reason", "r"]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host upgrade"), "{said:?}");
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("echo", "").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

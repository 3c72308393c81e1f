//! What runs print and what they use, as far as it is kept with their outcomes.

use std::process::Stdio;

use pgq_host_tests::{Database, Host, Plugins, Receiver, eventually, pgq_host};
use pgq_queue::names::{NameSettings, Names};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncBufReadExt as _, BufReader};

async fn job(database: &Database, id: i64) -> Value {
    database.cli_ok(&["job", &id.to_string(), "--json"]).await.json()
}

/// The messages of the lines of the last run of a job.
fn messages(job: &Value) -> Vec<&str> {
    let runs = job["printed"].as_array().unwrap();
    let lines = runs.last().map(|run| run["lines"].as_array().unwrap().as_slice()).unwrap_or_default();
    lines.iter().map(|line| line["message"].as_str().unwrap()).collect()
}

async fn kept(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer_lines").await
}

#[tokio::test]
async fn lines_of_failed_runs_are_kept_and_successes_write_nothing_more() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let fine = database.enqueue_many("nap", 20, "0").await;
    let said = "out\u{1b}[2J of \u{202e}luck";
    let fails = database.enqueue("says", said).await;
    database.wait_for(fails, "failed").await;
    database.wait_for(fine[19], "successful").await;
    database.wait_for(fine[0], "successful").await;
    assert_eq!(kept(&database).await, 1, "the one that failed");
    let shown = job(&database, fails).await;
    assert_eq!(messages(&shown), [said, said], "{shown}");
    let (run, host_id) = (&shown["printed"][0], &shown["attempts"][0]["queue_manager_id"]);
    assert_eq!((&run["failed"], &run["attempt"], &run["cut"]), (&json!(true), &json!(1), &json!(0)));
    assert_eq!((&run["lines"][0]["stream"], &run["lines"][0]["level"]), (&json!("log"), &json!("info")));
    assert_eq!(
        (&run["lines"][0]["fields"], &run["lines"][1]["stream"]),
        (&json!(format!("said={said}")), &json!("stderr"))
    );
    let id = fails.to_string();
    for args in [&["logs", &id][..], &["job", &id], &["logs", "--entrypoint", "says"], &["logs"]] {
        let text = database.cli_ok(args).await.stdout;
        assert!(
            text.contains("out\\x1b[2J of \\u{202e}luck") && !text.contains(['\u{1b}', '\u{202e}']),
            "{args:?}: {text}"
        );
    }
    assert_eq!(database.cli_ok(&["logs", "--entrypoint", "nap"]).await.stdout, "");
    let none = database.cli_ok(&["logs", &fine[0].to_string()]).await;
    assert!(none.stdout.is_empty() && none.stderr.contains("[logs]"), "{none:?}");
    // A success has its figures, and its host.
    let fine = job(&database, fine[0]).await;
    let run = &fine["attempts"][0];
    assert!(run["cpu_us"].as_i64().unwrap() > 0 && run["requests"].is_null(), "{run}");
    assert!(run["host"].as_str().unwrap().ends_with(&format!(":{}", host.pid())), "{run}");
    assert_eq!(&run["queue_manager_id"], host_id);
    // What need not be kept any longer goes.
    assert_eq!(database.queue().prune_lines().await.unwrap(), 0);
    database.execute("UPDATE pgqueuer_lines SET until = now() - interval '1 second'").await;
    assert_eq!(database.queue().prune_lines().await.unwrap(), 1);
    host.stop().await;
}

#[tokio::test]
async fn the_configuration_says_whose_lines_are_kept_for_how_long_and_how_many() {
    for claim in ["locked", "marked"] {
        let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
        let config = format!(
            "[logs]\nkeep = \"all\"\nmax-kib = 2\nfailures-for = \"10d\"\nsuccesses-for = \"1h\"\n\
             [plugins.hostile]\nenqueue = [\"*\"]\nclaim = \"{claim}\"\n[plugins.hostile.entrypoints.says]\nlogs = \"none\"\n"
        );
        std::fs::write(plugins.config(), config).unwrap();
        let host = Host::start(&database, &plugins, &[]).await;
        let silent = database.enqueue("says", "x").await;
        let napped = [database.enqueue("nap", "0").await, database.enqueue("nap_limited", "0").await];
        let flood = database.enqueue("log_flood", "").await;
        for id in napped {
            database.wait_for(id, "successful").await;
            let shown = job(&database, id).await;
            assert_eq!((messages(&shown), &shown["printed"][0]["failed"]), (vec!["napping"], &json!(false)), "{claim}");
        }
        database.wait_for(silent, "failed").await;
        assert_eq!(job(&database, silent).await["printed"], json!([]));
        database.wait_for(flood, "successful").await;
        let shown = job(&database, flood).await;
        // Its end is kept, and what is not is counted: 64 MiB but for the last lines.
        assert_eq!(messages(&shown), ["x".repeat(1023)]);
        let cut = shown["printed"][0]["cut"].as_i64().unwrap();
        assert_eq!(cut, 3 * ((64 << 10) / 3) * 1023 - 1023);
        let within = "SELECT count(*) FROM pgqueuer_lines WHERE until BETWEEN now() + interval '50 min' AND now() + interval '1 hour'";
        assert_eq!(database.count(within).await, 3);
        // A run that snoozes, or fails and comes back, is one, too.
        std::fs::write(plugins.config(), "[plugins.hostile]\nlogs = \"failures\"\n[logs]\nfailures-for = \"10d\"\n")
            .unwrap();
        host.signal(rustix::process::Signal::HUP);
        eventually("the new settings hold", async || {
            let says = database.enqueue("says", "y").await;
            database.wait_for(says, "failed").await;
            !job(&database, says).await["printed"].as_array().unwrap().is_empty()
        })
        .await;
        let within = "SELECT count(*) FROM pgqueuer_lines WHERE failed AND until > now() + interval '9 days'";
        assert_eq!(database.count(within).await, 1);
        host.stop().await;
    }
}

#[tokio::test]
async fn processor_time_is_that_of_the_guest_and_a_panic_keeps_its_lines() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let (spins, sleeps, panics) = (
        database.enqueue("spin", "").await,
        database.enqueue("nap", "400").await,
        database.enqueue("panics", "").await,
    );
    for (id, status) in [(spins, "failed"), (sleeps, "successful"), (panics, "failed")] {
        database.wait_for(id, status).await;
    }
    let figures = async |id: i64| {
        let job = job(&database, id).await;
        let run = &job["attempts"][0];
        (run["cpu_us"].as_i64().unwrap(), run["elapsed_us"].as_i64().unwrap())
    };
    let (cpu, elapsed) = figures(spins).await;
    // On a busy machine, it has its turn rarely; it computes all the same.
    assert!(cpu > 5_000 && cpu <= elapsed, "{cpu} of {elapsed} us");
    let (cpu, elapsed) = figures(sleeps).await;
    assert!(elapsed > 400_000 && cpu < elapsed / 2, "{cpu} of {elapsed} us");
    assert!(messages(&job(&database, panics).await).iter().any(|line| line.contains("on purpose")));
    host.stop().await;
}

#[tokio::test]
async fn requests_and_their_bytes_are_counted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let receiver = Receiver::start(vec![200]).await;
    std::fs::write(plugins.config(), format!("[plugins.capabilities]\nhttp = [\"{}\"]\n", receiver.origin())).unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    let authority = format!("127.0.0.1:{}", receiver.port());
    let call = json!({ "method": "GET", "scheme": "http", "authority": authority, "path": "/x" });
    let id = database.enqueue("fetch", call.to_string()).await;
    database.wait_for(id, "successful").await;
    let shown = job(&database, id).await;
    let run = &shown["attempts"][0];
    assert_eq!(run["requests"], 1, "{shown}");
    assert_eq!(receiver.requests().len(), 1);
    let [sent, received] = ["sent_bytes", "received_bytes"].map(|key| run[key].as_i64().unwrap());
    assert!((20..2_000).contains(&sent) && (15..2_000).contains(&received), "{run}");
    host.stop().await;
}

#[tokio::test]
async fn logs_are_followed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let before = database.enqueue("says", "before").await;
    database.wait_for(before, "failed").await;
    let mut command = pgq_host(&database.dsn());
    command.args(["logs", "--entrypoint", "says", "--follow", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut status = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(status.next_line().await.unwrap().unwrap().contains("Following"));
    for id in 0..3 {
        database.enqueue("panics", "").await;
        database.enqueue("says", format!("after {id}")).await;
    }
    let mut told = Vec::new();
    for _ in 0..4 {
        let run: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        assert_eq!(run["entrypoint"], "says");
        told.push(run["lines"][0]["message"].as_str().unwrap().to_owned());
    }
    told[1..].sort();
    assert_eq!(told, ["before", "after 0", "after 1", "after 2"]);
    host.stop().await;
}

const PGQUEUER: &str = include_str!("../../migrations/0001_pgqueuer.sql");
const BEFORE: &str = include_str!("../fixtures/pgq-host-schemas/3-deaths.sql");

#[tokio::test]
async fn a_host_keeps_no_lines_on_a_database_that_upgrade_has_not_reached() {
    let (database, plugins) = (Database::empty().await, Plugins::with(&["hostile"]));
    let names = Names::new(&NameSettings::default(), |_| None).expect("valid names");
    for template in [PGQUEUER, BEFORE] {
        sqlx::raw_sql(AssertSqlSafe(names.render(template))).execute(database.pool()).await.unwrap();
    }
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log("\"figures\",\"lines\",\"pauses\",\"audit\"").await;
    let id = database.enqueue("says", "x").await;
    database.wait_for(id, "failed").await;
    let shown = job(&database, id).await;
    assert_eq!((&shown["printed"], &shown["attempts"][0]["cpu_us"]), (&json!([]), &Value::Null), "{shown}");
    let said = database.run_cli(&["logs"]).await;
    assert!(said.code == 1 && said.stderr.contains("pgq-host upgrade"), "{said:?}");
    database.cli_ok(&["upgrade"]).await;
    database.cli_ok(&["verify", "--expect", "present"]).await;
    // Older hosts work on beside it.
    let id = database.enqueue("says", "y").await;
    database.wait_for(id, "failed").await;
    host.stop().await;
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("says", "z").await;
    database.wait_for(id, "failed").await;
    assert_eq!(messages(&job(&database, id).await), ["z", "z"]);
    host.stop().await;
}

//! `bench`: every scenario at a small size, on a private and on a given database: its figures, and
//! that it cleans up.

use std::os::unix::fs::PermissionsExt as _;

use pgq_host_tests::{Database, Host, Plugins, eventually, everything, pgq_host, run_command};
use rustix::process::Signal;
use serde_json::Value;

const SMALL: [&str; 8] = ["--jobs", "60", "--rounds", "1", "--hosts", "2", "--size", "50"];

/// The number of schemas and connections of benches in this database.
async fn traces(database: &Database) -> i64 {
    database
        .count(
            "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pgq_bench%')
                  + (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgq_bench%' AND datname = current_database())",
        )
        .await
}

fn row<'a>(report: &'a Value, scenario: &str, case: &str) -> &'a Value {
    let rows = report["results"].as_array().unwrap();
    rows.iter()
        .find(|row| row["scenario"] == scenario && row["case"] == case)
        .unwrap_or_else(|| panic!("{scenario}, {case}: {report}"))
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"))
}

/// The figures that every run of jobs has, on any database.
fn adds_up(row: &Value, jobs: f64) {
    assert_eq!(number(row, "jobs"), jobs, "{row}");
    let [p50, p95, p99] = ["p50_ms", "p95_ms", "p99_ms"].map(|name| number(row, name));
    assert!(p50 <= p95 && p95 <= p99, "{row}");
    // At least three log rows and the job itself are written.
    assert!(number(row, "wal_bytes_per_job") > 300.0, "{row}");
    assert!(number(row, "transactions_per_job") <= 2.0, "{row}");
    // The job was removed.
    assert!(number(row, "dead_tuples_per_job") >= 1.0, "{row}");
}

#[tokio::test]
async fn every_scenario_runs_in_a_given_database_and_leaves_it_as_it_was() {
    let database = Database::new().await;
    // Named like a job of the bench, but in the user's own tables.
    database.enqueue("bench_0000", "{}").await;
    let before = everything(&mut database.connect().await, "public").await;
    let report = database.cli_ok(&[&["bench", "--all", "--json"], &SMALL[..]].concat()).await.json();
    assert_eq!(report["database"]["private"], false);
    for (scenario, case, jobs) in [
        ("drain", "fresh instances", 60.0),
        ("latency", "100/s, fresh instances", 1.0),
        ("sustained", "2,000/s, fresh instances", 60.0),
        ("reuse", "fresh instances", 60.0),
        ("reuse", "kept instances", 60.0),
        ("payload", "16 bytes", 60.0),
        ("payload", "256 KiB", 60.0),
        ("retention", "50 old log rows, kept", 60.0),
        ("retention", "50 old log rows, pruned beside them", 60.0),
        ("fleet", "1 host", 60.0),
        ("fleet", "2 hosts", 60.0),
        ("future", "50 deferred, jobs", 60.0),
        ("in-flight", "50 running, jobs", 60.0),
        ("wide", "50 entrypoints, jobs", 60.0),
    ] {
        adds_up(row(&report, scenario, case), jobs);
        assert!(row(&report, scenario, case)["postgres_cpu_s_per_1000_jobs"].is_null(), "it is not ours");
    }
    assert!(number(row(&report, "payload", "256 KiB"), "wal_bytes_per_job") > 256.0 * 1024.0);
    adds_up(row(&report, "backlog", "50 due, jobs"), 50.0);
    for (scenario, what) in
        [("backlog", "50 due"), ("future", "50 deferred"), ("in-flight", "50 running"), ("wide", "50 entrypoints")]
    {
        for kind in ["no limit", "limited"] {
            let claims = row(&report, scenario, &format!("{what}, {kind}"));
            let empty = row(&report, scenario, &format!("empty, {kind}"));
            assert_eq!((number(claims, "jobs"), number(empty, "jobs")), (20.0, 20.0));
            assert!((number(claims, "p99_to_empty") - number(claims, "p99_ms") / number(empty, "p99_ms")).abs() < 1e-9);
        }
    }
    assert_eq!(everything(&mut database.connect().await, "public").await, before);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued'").await, 1);
    eventually("nothing is left", async || traces(&database).await == 0).await;
}

#[tokio::test]
async fn a_private_database_is_gone_afterwards_and_its_processor_time_is_known() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = pgq_host("postgresql://nobody@127.0.0.1:1/nowhere");
    command.args(["bench", "drain", "latency", "--embedded", "--json", "--jobs", "300", "--rounds", "2", "--reuse"]);
    command.env("TMPDIR", folder.path());
    let said = run_command(command).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stderr.contains("round 2 of 2: latency"), "{said:?}");
    let report = said.json();
    assert_eq!(report["database"]["private"], true);
    let drain = row(&report, "drain", "kept instances");
    adds_up(drain, 300.0);
    assert_eq!(drain["rounds"].as_array().unwrap().len(), 2);
    adds_up(row(&report, "latency", "100/s, kept instances"), 3.0);
    if cfg!(target_os = "linux") {
        assert!(
            number(drain, "host_cpu_s_per_1000_jobs") > 0.0 && drain["postgres_cpu_s_per_1000_jobs"].is_number(),
            "{drain}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_handler_of_the_users_is_measured_and_one_that_fails_is_an_error_that_says_how() {
    let (database, plugins) = (Database::empty().await, Plugins::with(&["hostile"]));
    let folder = plugins.path().to_str().unwrap();
    let bench = async |more: &[&str]| {
        let mut command = pgq_host(&database.dsn());
        command.args(["bench", "--json", "--jobs", "50", "--rounds", "1", "--plugins", folder]).args(more);
        command.env("PGQ_HOST_CONFIG", plugins.config());
        run_command(command).await
    };
    let good = bench(&["drain", "--entrypoint", "echo", "--", "--batch-size", "7"]).await;
    adds_up(row(&good.json(), "drain", "echo"), 50.0);
    let failed = bench(&["drain", "--entrypoint", "discard"]).await;
    assert!(
        failed.code == 1
            && failed.stderr.contains("0 of 50 jobs ended well")
            && failed.stderr.contains("nobody wants it"),
        "{failed:?}"
    );
    let refused = bench(&["wide", "--entrypoint", "echo"]).await;
    assert!(refused.code == 2 && refused.stderr.contains("leave it out"), "{refused:?}");
    eventually("nothing is left", async || traces(&database).await == 0).await;
}

/// A long bench whose hosts are already working.
async fn under_way(database: &Database) -> Host {
    let mut command = pgq_host(&database.dsn());
    command.args(["bench", "sustained", "--jobs", "100000", "--rate", "20", "--hosts", "2"]);
    let bench = Host::launch(command);
    // Its own connection, and some of each host.
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgq_bench%' AND datname = current_database()";
    eventually("hosts are connected", async || database.count(connected).await >= 4).await;
    bench.wait_for_log("20 a second").await;
    bench
}

#[tokio::test]
async fn ctrl_c_cleans_everything_up() {
    let database = Database::empty().await;
    let mut bench = under_way(&database).await;
    bench.signal(Signal::INT);
    assert_eq!(bench.ended().await.code(), Some(1));
    assert!(bench.log().contains("SIGINT"), "{}", bench.log());
    eventually("nothing is left", async || traces(&database).await == 0).await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn hosts_do_not_outlive_a_bench_that_is_killed() {
    let database = Database::empty().await;
    under_way(&database).await.kill().await;
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgq_bench%' AND datname = current_database()";
    eventually("its hosts are gone", async || database.count(connected).await == 0).await;
}

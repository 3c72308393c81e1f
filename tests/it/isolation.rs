//! Several queues in one database, and a queue whose schema is upgraded while it is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgq_host_tests::{Database, Host, Plugins, eventually, host_binary, pgq};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::process::Command;

fn host_command(database: &Database, args: &[&str]) -> Command {
    let mut command = Command::new(host_binary());
    command.args(args).env("PGDSN", database.dsn()).kill_on_drop(true);
    command
}

async fn run_command(mut command: Command) -> String {
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[tokio::test]
async fn queues_by_prefix_and_by_schema_share_a_database_and_nothing_else() {
    let (database, plugins) = (Database::empty().await, Plugins::with(&["hostile"]));
    let queues = [
        (vec![], "pgqueuer"),
        (vec!["--prefix", "a_"], "a_pgqueuer"),
        (vec!["--schema", "jobs"], "jobs.pgqueuer"),
        (vec!["--schema", "jobs", "--prefix", "b_"], "jobs.b_pgqueuer"),
    ];
    let folder = plugins.path().to_str().unwrap().to_owned();
    let mut hosts = Vec::new();
    for (options, table) in &queues {
        run_command(host_command(&database, &[&options[..], &["install"]].concat())).await;
        for _ in 0..3 {
            // The payload is returned as the output, and says which queue the job was enqueued in.
            run_command(host_command(&database, &[&options[..], &["queue", "echo", table]].concat())).await;
        }
    }
    for (options, _) in &queues {
        let host = Host::launch(host_command(&database, &[&options[..], &["run", "--plugins", &folder]].concat()));
        host.wait_for_log("ready").await;
        hosts.push(host);
    }
    for (_, table) in &queues {
        let right = format!("SELECT count(*) FROM {table}_output WHERE convert_from(output, 'UTF8') = '{table}'");
        eventually(&format!("{table} is served"), async || database.count(&right).await == 3).await;
        assert_eq!(
            database.count(&format!("SELECT count(*) FROM {table}_output")).await,
            3,
            "and by its own host only"
        );
    }
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test]
async fn a_release_in_use_is_upgraded_and_then_served_by_both() {
    let releases = [
        ("0.18.10", include_str!("../fixtures/pgqueuer-schemas/v0.18.10.sql")),
        ("1.0.2", include_str!("../fixtures/pgqueuer-schemas/v1.0.2.sql")),
        ("1.1.1", include_str!("../fixtures/pgqueuer-schemas/v1.1.1.sql")),
        ("1.4.0", include_str!("../fixtures/pgqueuer-schemas/v1.4.0.sql")),
    ];
    for (release, sql) in releases {
        let database = Database::empty().await;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(database.pool()).await.unwrap();
        // A producer that knows nothing of the upgrade. None of its inserts may fail.
        let upgraded = Arc::new(AtomicBool::new(false));
        let (stop, mut connection) = (Arc::clone(&upgraded), database.connect().await);
        let producer = tokio::spawn(async move {
            let mut produced = 0_i64;
            while !stop.load(Ordering::Acquire) || produced < 200 {
                let insert =
                    "INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, 'echo', 'x', 'queued')";
                connection.execute(insert).await.unwrap_or_else(|error| panic!("{release}: {error}"));
                produced += 1;
            }
            produced
        });
        eventually("jobs come in", async || database.count("SELECT count(*) FROM pgqueuer").await > 50).await;
        run_command(host_command(&database, &["upgrade"])).await;
        upgraded.store(true, Ordering::Release);
        let produced = producer.await.unwrap();

        let mut plan = pgq(&database.dsn());
        plan.args(["upgrade", "--plan"]);
        assert!(run_command(plan).await.contains("already up to date"), "{release}");
        let plugins = Plugins::with(&["hostile"]);
        let host = Host::start(&database, &plugins, &["--batch-size", "10", "--max-concurrent-tasks", "10"]).await;
        database.execute("CREATE TABLE python_ran (job_id bigint NOT NULL)").await;
        let mut worker = pgq(&database.dsn());
        worker.args(["run", "worker:main", "--", "echo"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"));
        let worker = Host::launch(worker);
        database.wait_until_done().await;
        assert_eq!(
            database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await,
            produced,
            "{release}"
        );
        // Python starts more slowly than the host does all of that, so there is another job for
        // Python alone.
        host.stop().await;
        let last = database.enqueue("echo", "x").await;
        database.wait_for(last, "successful").await;
        assert_eq!(
            database.count(&format!("SELECT count(*) FROM python_ran WHERE job_id = {last}")).await,
            1,
            "{release}"
        );
        worker.stop().await;
    }
}

//! Behind the real PgBouncer. In transaction mode, two statements may use different sessions. What
//! needs a session bypasses the pooler, or is not used.

use std::time::Instant;

use pgq_host_tests::{CliOutput, Database, Host, PgBouncer, Plugins, eventually, pgq_host, run_command};
use pgq_queue as queue;
use sqlx::{Connection as _, PgConnection};

const POOLED: &str = "--transaction-pooling";

fn spawn(dsn: &str, plugins: &Plugins, args: &[&str]) -> Host {
    let mut command = pgq_host(dsn);
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGQ_HOST_CONFIG", plugins.config());
    Host::launch(command)
}

async fn start(dsn: &str, plugins: &Plugins, args: &[&str]) -> Host {
    let host = spawn(dsn, plugins, args);
    host.wait_for_log("ready").await;
    host
}

async fn run_cli(dsn: &str, args: &[&str]) -> CliOutput {
    let mut command = pgq_host(dsn);
    command.args(args);
    run_command(command).await
}

async fn assert_each_ran_once(database: &Database, count: usize) {
    for status in ["picked", "successful"] {
        let rows = database.count(&format!("SELECT count(*) FROM pgqueuer_log WHERE status = '{status}'")).await;
        let jobs =
            database.count(&format!("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = '{status}'")).await;
        assert_eq!((rows, jobs), (count as i64, count as i64), "{status}");
    }
}

/// The next user of a pooler's session finds it unchanged.
async fn assert_nothing_is_left_behind(bouncer: &PgBouncer) {
    let mut connections = Vec::new();
    // All of them at once, so that each is checked.
    for _ in 0..3 {
        let mut connection =
            PgConnection::connect_with(&queue::connect_options(Some(bouncer.dsn())).unwrap()).await.unwrap();
        sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
        let left = "SELECT name || ' = ' || setting AS what FROM pg_settings WHERE name ~ '^(enable_|jit$)' AND source = 'session'
                    UNION ALL SELECT statement FROM pg_prepared_statements
                    UNION ALL SELECT 'a lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
                    UNION ALL SELECT 'listens' FROM pg_listening_channels()";
        let left = sqlx::raw_sql(left).fetch_all(&mut connection).await.unwrap();
        let left: Vec<String> = left.iter().map(|row| sqlx::Row::get(row, "what")).collect();
        assert!(left.is_empty(), "{left:?}");
        connections.push(connection);
    }
}

#[tokio::test]
async fn two_hosts_behind_a_transaction_pooler_poll_and_run_each_job_once() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let Some(bouncer) = PgBouncer::start(&database, "transaction").await else { return };
    let hosts = [start(bouncer.dsn(), &plugins, &[POOLED]).await, start(bouncer.dsn(), &plugins, &[POOLED]).await];
    let begun = Instant::now();
    database.enqueue_many("echo", 1_000, "x").await;
    database.wait_until_done().await;
    eprintln!("1,000 jobs through a transaction pooler, polling: {:.0?}", begun.elapsed());
    assert_each_ran_once(&database, 1_000).await;
    let speaks = "SELECT count(*) FROM pgqueuer_host WHERE presence IS NULL";
    assert_eq!(database.count(speaks).await, 2, "no session speaks for them");
    for host in hosts {
        let log = host.stop().await;
        assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    }
    assert_nothing_is_left_behind(&bouncer).await;
}

#[tokio::test]
async fn with_a_direct_dsn_a_host_behind_a_transaction_pooler_is_woken_and_its_death_is_noticed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let Some(bouncer) = PgBouncer::start(&database, "transaction").await else { return };
    // Neither a poll nor an expired lease can explain what follows.
    let direct = database.dsn();
    let args = [POOLED, "--listen-dsn", &direct, "--dequeue-timeout", "3600", "--heartbeat-timeout", "3600"];
    let (heir, doomed) = (start(bouncer.dsn(), &plugins, &args).await, start(bouncer.dsn(), &plugins, &args).await);
    database.enqueue_many("echo", 1_000, "x").await;
    database.wait_until_done().await;
    assert_each_ran_once(&database, 1_000).await;
    let late = database.enqueue("echo", "late").await;
    database.wait_for(late, "successful").await;

    // Its only session is closed, and it is back before it is taken for dead.
    let nap = database.enqueue_many("nap", 2, "3000").await;
    eventually("they run", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 2)
        .await;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    assert_eq!(database.count(locks).await, 2, "one session each");
    database.count(&locks.replace("count(*)", "count(pg_terminate_backend(pid))")).await;
    for id in nap {
        database.wait_for(id, "successful").await;
        assert_eq!(database.history(id).await, ["queued", "picked", "successful"]);
    }

    let id = database.enqueue("nap", "3600000").await;
    let holder =
        "SELECT h.pid FROM pgqueuer q JOIN pgqueuer_host h ON h.id = q.queue_manager_id WHERE q.status = 'picked'";
    let mut pid = 0;
    eventually("it runs", async || {
        pid = sqlx::query_scalar::<_, i32>(holder).fetch_optional(database.pool()).await.unwrap().unwrap_or_default();
        pid != 0
    })
    .await;
    let (holding, other) = if pid == heir.pid().cast_signed() { (heir, doomed) } else { (doomed, heir) };
    let killed = Instant::now();
    holding.kill().await;
    let moved = format!("SELECT count(*) FROM ({holder} AND h.pid = {}) AS moved", other.pid());
    eventually("it runs elsewhere", async || database.count(&moved).await == 1).await;
    eprintln!("behind a transaction pooler, from SIGKILL to running elsewhere: {:.0?}", killed.elapsed());
    assert!(database.traceback(id).await["exception_message"].to_string().contains("its sessions ended"));
    drop(other);
    assert_nothing_is_left_behind(&bouncer).await;
}

#[tokio::test]
async fn a_worker_that_was_not_told_of_a_transaction_pooler_says_what_to_do() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let Some(bouncer) = PgBouncer::start(&database, "transaction").await else { return };
    let mut host = spawn(bouncer.dsn(), &plugins, &[]);
    assert_eq!(host.ended().await.code(), Some(1), "{}", host.log());
    assert!(host.log().contains("--transaction-pooling") && host.log().contains("--listen-dsn"), "{}", host.log());
    assert_nothing_is_left_behind(&bouncer).await;
    let mut deaf = spawn(bouncer.dsn(), &plugins, &[POOLED, "--shutdown-on-listener-failure"]);
    assert_eq!(deaf.ended().await.code(), Some(2));
    assert!(deaf.log().contains("--listen-dsn"), "{}", deaf.log());
}

#[tokio::test]
async fn verbs_work_behind_a_transaction_pooler_and_bypass_it_if_they_need_a_session() {
    let database = Database::new().await;
    let Some(bouncer) = PgBouncer::start(&database, "transaction").await else { return };
    for args in [
        &["queue", "echo", "x"][..],
        &["queue", "echo", "y"],
        &["backlog", "--json"],
        &["failed"],
        &["workers"],
        &["cancel", "1"],
    ] {
        let said = run_cli(bouncer.dsn(), &[&[POOLED], args].concat()).await;
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
    }
    let refused = run_cli(bouncer.dsn(), &[POOLED, "verify", "--expect", "present"]).await;
    assert!(refused.code == 2 && refused.stderr.contains("--listen-dsn"), "{refused:?}");
    let said =
        run_cli(bouncer.dsn(), &[POOLED, "--listen-dsn", &database.dsn(), "verify", "--expect", "present"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_nothing_is_left_behind(&bouncer).await;
}

#[tokio::test]
async fn a_session_pooler_works_like_the_server() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let Some(bouncer) = PgBouncer::start(&database, "session").await else { return };
    let host = start(bouncer.dsn(), &plugins, &["--dequeue-timeout", "3600"]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_host WHERE presence IS NOT NULL").await, 1);
    host.stop().await;
}

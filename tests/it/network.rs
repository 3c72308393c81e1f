//! Networks that fall silent, servers that do not answer, locks that are never granted: no wait is
//! forever, nothing is lost, and a stop takes effect.

use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Pages, Plugins, Proxy, eventually, pgq_host};
use rustix::process::Signal;
use sqlx::{Connection as _, Executor as _};

/// A host behind a failing network, which gives up a statement after six seconds without an answer.
fn behind(proxy: &Proxy, plugins: &Plugins, args: &[&str]) -> Host {
    let mut command = pgq_host(&proxy.dsn());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("PGQ_HOST_STATEMENT_TIMEOUT", "6").env("PGQUEUER_CONNECT_TIMEOUT", "3");
    Host::launch(command)
}

async fn successes(database: &Database) -> (i64, i64) {
    let all = database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await;
    (all, database.count("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = 'successful'").await)
}

// Fetching a page blocks a thread, and the proxy must continue meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_network_costs_time_and_no_job() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let (proxy, pages) = (Proxy::before(&database.dsn()).await, Pages::anywhere());
    let host = behind(
        &proxy,
        &plugins,
        &["--listen", &pages.address(), "--max-concurrent-tasks", "8", "--heartbeat-timeout", "20"],
    );
    host.wait_for_log("ready").await;
    let ids = database.enqueue_many("nap", 40, "300").await;
    eventually("jobs run", async || successes(&database).await.0 > 4).await;
    proxy.fall_silent();
    host.wait_for_log("no answer within").await;
    assert_eq!(pages.get("/healthz").0, 200, "it does not hang");
    eventually("it is not ready", async || pages.get("/readyz").0 == 503).await;
    // The hung connections are closed and new ones work, as with a firewall that forgot its state.
    proxy.cut();
    proxy.recover();
    database.wait_until_done().await;
    assert_eq!(successes(&database).await, (40, 40), "each once");
    for id in &ids {
        assert_eq!(database.history(*id).await.last().map(String::as_str), Some("successful"));
    }
    let ready = async {
        while pages.get("/readyz").0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ready = tokio::time::timeout(pgq_host_tests::PATIENCE, ready).await;
    assert!(ready.is_ok(), "{}\n{}", pages.get("/readyz").1, host.log());
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn what_a_silent_network_held_back_does_no_harm_when_it_arrives_late() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let proxy = Proxy::before(&database.dsn()).await;
    let host = behind(&proxy, &plugins, &["--max-concurrent-tasks", "8", "--heartbeat-timeout", "10"]);
    host.wait_for_log("ready").await;
    database.enqueue_many("nap", 40, "200").await;
    eventually("jobs run", async || successes(&database).await.0 > 4).await;
    proxy.fall_silent();
    host.wait_for_log("no answer within").await;
    proxy.recover();
    database.wait_until_done().await;
    assert_eq!(successes(&database).await, (40, 40), "each once");
    host.stop().await;
}

#[tokio::test]
async fn a_stop_in_a_silent_network_is_in_time_and_reports_what_was_not_recorded() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let proxy = Proxy::before(&database.dsn()).await;
    // One that is only locked is free again soon.
    let mut host = behind(&proxy, &plugins, &["--drain-timeout", "1", "--claim", "marked"]);
    host.wait_for_log("ready").await;
    let id = database.enqueue("nap", "3600000").await;
    eventually("it has begun", async || host.log().contains("napping")).await;
    proxy.fall_silent();
    let signalled = Instant::now();
    host.signal(Signal::TERM);
    let status = host.ended().await;
    assert!(signalled.elapsed() < Duration::from_secs(16), "it took {:?}", signalled.elapsed());
    assert_eq!(status.code(), Some(1), "{}", host.log());
    assert!(host.log().contains("their jobs run again when their leases are over"), "{}", host.log());
    assert_eq!(database.history(id).await, ["queued", "picked"]);
}

#[tokio::test]
async fn further_signals_cut_every_wait_short() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let proxy = Proxy::before(&database.dsn()).await;
    let mut host = behind(&proxy, &plugins, &["--drain-timeout", "3600"]);
    host.wait_for_log("ready").await;
    database.enqueue("nap", "3600000").await;
    eventually("it has begun", async || host.log().contains("napping")).await;
    proxy.fall_silent();
    let signalled = Instant::now();
    for said in ["stopping; a second signal", "running jobs are interrupted", "without waiting for outcomes"] {
        host.signal(Signal::TERM);
        host.wait_for_log(said).await;
    }
    assert_eq!(host.ended().await.code(), Some(1), "{}", host.log());
    assert!(signalled.elapsed() < Duration::from_secs(16), "it took {:?}", signalled.elapsed());
}

#[tokio::test]
async fn a_third_signal_loses_no_outcome_that_the_database_accepts() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut host = Host::start(&database, &plugins, &["--drain-timeout", "3600"]).await;
    let id = database.enqueue("nap", "3600000").await;
    eventually("it has begun", async || host.log().contains("napping")).await;
    host.signal(Signal::TERM);
    host.wait_for_log("stopping; a second signal").await;
    // Both at once, or as close as a process can.
    host.signal(Signal::INT);
    host.wait_for_log("interrupted").await;
    host.signal(Signal::TERM);
    assert!(host.ended().await.success(), "{}", host.log());
    assert_eq!(database.history(id).await, ["queued", "picked", "queued"]);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_claim_that_waits_for_a_lock() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let mut host = Host::start(&database, &plugins, &["--drain-timeout", "1"]).await;
    let mut migration = database.connect().await;
    migration.execute("BEGIN; LOCK TABLE pgqueuer").await.unwrap();
    database
        .execute(
            "SELECT pg_notify('ch_pgqueuer', json_build_object('type', 'table_changed_event', 'operation', 'insert',
        'channel', 'ch_pgqueuer', 'table', 'pgqueuer', 'sent_at', now())::text)",
        )
        .await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'pgqueuer'::regclass";
    eventually("a claim waits", async || database.count(waiting).await > 0).await;
    let signalled = Instant::now();
    host.signal(Signal::TERM);
    let status = host.ended().await;
    assert!(signalled.elapsed() < Duration::from_secs(16), "it took {:?}", signalled.elapsed());
    assert!(status.success(), "nothing was held: {status}\n{}", host.log());
    // The server does not wait for the lock any more either. Otherwise it would claim jobs for
    // nobody.
    eventually("no claim waits", async || database.count(waiting).await == 0).await;
    migration.execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_host_that_is_not_ready_yet_stops_at_once_whatever_it_waits_for() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let proxy = Proxy::before(&database.dsn()).await;
    proxy.fall_silent();
    let mut command = pgq_host(&proxy.dsn());
    command.arg("run").arg("--plugins").arg(plugins.path()).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("PGQUEUER_CONNECT_TIMEOUT", "3600").env("PGQ_HOST_LOG_LEVEL", "DEBUG");
    let mut host = Host::launch(command);
    eventually("it connects", async || proxy.connections() > 0).await;
    let signalled = Instant::now();
    host.signal(Signal::TERM);
    let status = host.ended().await;
    assert!(
        status.success() && signalled.elapsed() < Duration::from_secs(10),
        "{status} {:?}\n{}",
        signalled.elapsed(),
        host.log()
    );
}

#[tokio::test]
async fn rows_that_are_being_sent_to_a_host_that_does_not_read_are_free_again_soon() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let proxy = Proxy::before(&database.dsn()).await;
    let host = behind(&proxy, &plugins, &[]);
    host.wait_for_log("ready").await;
    proxy.fall_silent_after(1024 * 1024);
    let id = database.enqueue("echo", vec![b'x'; 60 * 1024 * 1024]).await;
    eventually("it is being sent", async || proxy.is_silent()).await;
    let sent = Instant::now();
    let sending =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite' AND datname = current_database()";
    eventually("the server waits", async || database.count(sending).await > 0).await;
    let free = format!("SELECT count(*) FROM (SELECT FROM pgqueuer WHERE id = {id} FOR UPDATE SKIP LOCKED) AS free");
    assert_eq!(database.count(&free).await, 1, "nothing is locked while it is being sent");
    eventually("the server gives up", async || database.count(sending).await == 0).await;
    assert!(proxy.is_silent() && sent.elapsed() < Duration::from_secs(45), "{:?}", sent.elapsed());
    host.kill().await;
}

#[tokio::test]
async fn a_verb_gives_up_a_database_that_does_not_answer() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database.dsn()).await;
    let mut lock = database.connect().await;
    lock.execute("BEGIN; LOCK TABLE pgqueuer").await.unwrap();
    for args in [&["queue", "echo"][..], &["backlog"], &["uninstall"], &["verify", "--expect", "present"]] {
        let mut command = pgq_host(&proxy.dsn());
        command.args(args).args(["--statement-timeout", "2"]);
        let said = pgq_host_tests::run_command(command).await;
        if args[0] != "verify" {
            assert!(
                said.code == 1 && (said.stderr.contains("within 2s") || said.stderr.contains("lock")),
                "{args:?}: {said:?}"
            );
        }
    }
    lock.execute("ROLLBACK").await.unwrap();
    lock.close().await.unwrap();
}

//! Whether a host reports to probes and to systemd that it is alive and ready.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use pgq_host_tests::{Database, Host, PATIENCE, Pages, Plugins, eventually, host_binary};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

/// Wait until the page has this status, with this text in it.
async fn wait_for(pages: &Pages, path: &str, status: u16, text: &str) {
    let mut last = (0, String::new());
    let found = tokio::time::timeout(PATIENCE / 2, async {
        eventually("it answers so", async || {
            last = pages.get(path);
            last.0 == status && last.1.contains(text)
        })
        .await;
    })
    .await;
    assert!(found.is_ok(), "{path} never answered {status} with {text:?}, but {last:?}");
}

/// Execute statements from another database, for when this one accepts no connections.
async fn from_outside(database: &Database, statements: &[&str]) {
    let dsn = database.dsn();
    let (server, name) = dsn.rsplit_once('/').unwrap();
    let mut admin = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    for statement in statements {
        admin.execute(AssertSqlSafe(statement.replace("{name}", name))).await.unwrap();
    }
}

#[tokio::test]
async fn a_host_is_ready_while_it_has_its_database_and_alive_without() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    wait_for(&pages, "/readyz", 200, "[+] database ok").await;
    assert_eq!(pages.get("/healthz").0, 200);
    assert_eq!(pages.get("/jobs").0, 200, "the pages of the queue are beside them");
    let probe = ["probe", "--listen", &pages.address()];
    database.cli_ok(&probe).await;
    assert!(database.cli_ok(&[&probe[..], &["--ready"]].concat()).await.stdout.contains("[+] listener ok"));
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'";
    from_outside(&database, &["ALTER DATABASE {name} ALLOW_CONNECTIONS false", cut]).await;
    wait_for(&pages, "/readyz", 503, "[-] database: ").await;
    wait_for(&pages, "/readyz", 503, "[-] listener: ").await;
    let unready = database.run_cli(&[&probe[..], &["--ready"]].concat()).await;
    assert!(unready.code == 1 && unready.stderr.contains("[-] listener: "), "{unready:?}");
    let (status, said) = pages.get("/healthz");
    assert_eq!(status, 200, "a restart would not bring the database back: {said}");
    from_outside(&database, &["ALTER DATABASE {name} ALLOW_CONNECTIONS true"]).await;
    wait_for(&pages, "/readyz", 200, "[+] database ok").await;
    // The test's own sessions were ended as well, which the first statement notices.
    let _ = database.queue().has_work(&[]).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    // An incomplete schema is distinguished from an unreachable database, and reported with the
    // remedy.
    database.execute("ALTER TABLE pgqueuer_output RENAME TO elsewhere").await;
    wait_for(&pages, "/readyz", 503, "table pgqueuer_output; run `pgq-host upgrade`").await;
    assert!(pages.get("/readyz").1.contains("[+] database ok"));
    database.execute("ALTER TABLE elsewhere RENAME TO pgqueuer_output").await;
    wait_for(&pages, "/readyz", 200, "ok").await;
    host.stop().await;
    let gone = database.run_cli(&probe).await;
    assert!(gone.code == 1 && gone.stderr.contains(&pages.address()), "{gone:?}");
}

#[tokio::test]
async fn a_host_without_a_plugin_is_not_ready_nor_is_one_that_stops() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    wait_for(&pages, "/readyz", 503, "[-] plugins: none is loaded").await;
    plugins.put("hostile");
    wait_for(&pages, "/readyz", 200, "[+] plugins ok").await;
    database.enqueue("nap", "3000").await;
    eventually("it runs", async || database.count("SELECT count(*) FROM pgqueuer WHERE status = 'picked'").await == 1)
        .await;
    assert!(pages.get("/metrics").1.contains("pgq_host_jobs_in_flight 1"));
    host.signal(Signal::TERM);
    wait_for(&pages, "/readyz", 503, "[-] worker: it is stopping").await;
    assert_eq!(pages.get("/healthz").0, 200, "it drains");
    host.stop().await;
}

#[tokio::test]
async fn systemd_is_notified_of_readiness_of_every_heartbeat_and_of_the_stop() {
    let (database, plugins) = (Database::empty().await, Plugins::with(&["hostile"]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let start = || {
        let mut command = Command::new(host_binary());
        command
            .arg("run")
            .arg("--plugins")
            .arg(plugins.path())
            .env("PGDSN", database.dsn())
            .env("PGQ_HOST_CONFIG", plugins.config());
        command.env("PGQ_HOST_DEQUEUE_TIMEOUT", "0.5");
        // systemd's minimum is far higher. A third of it is the interval.
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000");
        Host::launch(command)
    };
    let heard = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap_or_default();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    // A worker that cannot claim is never ready.
    assert!(!start().ended().await.success());
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert_eq!(heard(), "");
    database.install().await;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut host = start();
    assert!(heard().contains("READY=1"));
    for _ in 0..3 {
        assert_eq!(heard().trim(), "WATCHDOG=1");
    }
    // The loop keeps reporting while it cannot reach its database, because a restart would not
    // help.
    from_outside(
        &database,
        &[
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        ],
    )
    .await;
    host.wait_for_log("cannot reach the queue").await;
    for _ in 0..3 {
        assert_eq!(heard().trim(), "WATCHDOG=1");
    }
    from_outside(&database, &["ALTER DATABASE {name} ALLOW_CONNECTIONS true"]).await;
    host.signal(Signal::TERM);
    let mut last = String::new();
    while !last.contains("STOPPING=1") {
        last = heard();
        assert!(!last.is_empty(), "never told of the stop");
    }
    assert!(host.ended().await.success(), "{}", host.log());
}

//! No task of a host ends unnoticed: one that fails ends the host, after it has requeued what it
//! can.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, pgq_host};

/// The names in the error messages.
const TASKS: [&str; 11] = [
    "listener",
    "reload",
    "announcer",
    "rescue of lost workers",
    "rescue",
    "pruning",
    "lease keeper",
    "statistics",
    "schedules",
    "pages",
    "jobs handed over",
];

#[tokio::test]
async fn a_host_whose_task_fails_names_it_requeues_its_jobs_and_ends() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let folder = tempfile::tempdir().unwrap();
    for (number, task) in TASKS.iter().enumerate() {
        let (now, pages) = (folder.path().join(number.to_string()), Pages::anywhere());
        let mut command = pgq_host(&database.dsn());
        command.arg("run").arg("--plugins").arg(plugins.path()).env("PGQ_HOST_CONFIG", plugins.config());
        command
            .args(["--listen", &pages.address()])
            .env("PGQ_HOST_TEST_PANIC", task)
            .env("PGQ_HOST_TEST_PANIC_AT", &now);
        let mut host = Host::launch(command);
        host.wait_for_log("ready").await;
        let id = database.enqueue("nap", "3600000").await;
        eventually("it has begun", async || host.log().contains("napping")).await;
        std::fs::write(&now, "").unwrap();
        let status = host.ended().await;
        let log = host.log();
        assert_eq!(status.code(), Some(1), "{task}: {log}");
        assert!(log.contains(&format!("the task \"{task}\" panicked: as the test wants it")), "{task}: {log}");
        assert_eq!(database.history(id).await, ["queued", "picked", "queued"], "{task}: {log}");
        let attempts = database.count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {id}")).await;
        assert_eq!(attempts, 0, "{task}");
        database.execute("DELETE FROM pgqueuer").await;
    }
}

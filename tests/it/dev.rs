//! `dev`: from nothing to a running job in one command, and what a SIGKILL leaves behind.

use std::path::{Path, PathBuf};
use std::process::Output;

use pgq_host_tests::{Host, Plugins, eventually, host_binary};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

struct Project {
    folder: TempDir,
    plugins: Plugins,
}

impl Project {
    fn new() -> Project {
        Project { folder: tempfile::tempdir().unwrap(), plugins: Plugins::with(&["hello"]) }
    }

    async fn dev(&self) -> Host {
        self.dev_with(&[]).await
    }

    async fn dev_with(&self, variables: &[(&str, &str)]) -> Host {
        let mut command = Command::new(host_binary());
        command.envs(variables.iter().copied());
        command.arg("dev").arg("--plugins").arg(self.plugins.path()).current_dir(self.folder.path());
        let host = Host::launch(command);
        host.wait_for_log("ready").await;
        host
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join(".pgq-host")
    }

    fn dsn(&self) -> String {
        std::fs::read_to_string(self.data().join("dsn")).unwrap().trim().to_owned()
    }

    async fn queue(&self, args: &[&str]) -> Output {
        Command::new(host_binary()).arg("queue").args(args).env("PGDSN", self.dsn()).output().await.unwrap()
    }

    async fn successful(&self) -> i64 {
        let mut connection = PgConnection::connect(&self.dsn()).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'")
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

/// Scripts wait for the file.
#[tokio::test]
async fn whoever_waits_for_the_dsn_can_enqueue() {
    let project = Project::new();
    let mut command = Command::new(host_binary());
    command.args(["dev", "--plugins"]).arg(project.plugins.path()).current_dir(project.folder.path());
    let dev = Host::launch(command);
    eventually("the file is there", async || project.data().join("dsn").exists()).await;
    let queued = project.queue(&["hello", r#"{"name": "Ada"}"#]).await;
    assert!(queued.status.success(), "{queued:?}");
    eventually("the job runs", async || project.successful().await == 1).await;
    dev.stop().await;
}

#[tokio::test]
async fn a_private_server_has_nothing_of_what_the_variables_say_of_another() {
    let project = Project::new();
    let others = [
        ("PGHOSTADDR", "127.0.0.9"),
        ("PGSERVICE", "none"),
        ("PGSSLMODE", "verify-full"),
        ("PGCHANNELBINDING", "require"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGREQUIREAUTH", "none"),
        ("PGQ_HOST_PASSWORD_FILE", "/nowhere"),
    ];
    let dev = project.dev_with(&others).await;
    project.queue(&["hello", r#"{"name": "Ada"}"#]).await;
    eventually("the job runs", async || project.successful().await == 1).await;
    dev.stop().await;
    let mut bench = Command::new(host_binary());
    bench
        .args(["bench", "--embedded", "--jobs", "200", "--json"])
        .envs(others)
        .env("PGQ_HOST_CACHE_DIR", project.data());
    let ran = bench.output().await.unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

#[tokio::test]
async fn dev_needs_nothing_and_keeps_its_data_over_a_sigkill() {
    let project = Project::new();
    let dev = project.dev().await;
    assert!(dev.log().contains("PostgreSQL listens on 127.0.0.1"), "{}", dev.log());
    assert_eq!(mode(&project.data().join("dsn")), 0o600, "it holds the password");
    let queued = project.queue(&["hello", r#"{"name": "Ada"}"#]).await;
    assert!(queued.status.success() && queued.stdout == b"Enqueued job 1.\n", "{queued:?}");
    eventually("the job runs", async || project.successful().await == 1).await;
    dev.kill().await;

    let dev = project.dev().await;
    project.queue(&["hello", r#"{"name": "Bob"}"#]).await;
    eventually("the second job runs, and the first is still known", async || project.successful().await == 2).await;
    dev.stop().await;
    assert!(PgConnection::connect(&project.dsn()).await.is_err(), "the server goes with its host");
}

#[tokio::test]
async fn a_signal_during_the_start_is_an_orderly_stop() {
    let project = Project::new();
    let mut command = Command::new(host_binary());
    command.arg("dev").arg("--plugins").arg(project.plugins.path()).current_dir(project.folder.path());
    let mut dev = Host::launch(command);
    // The folder is created before the server starts, so the start is in progress from here on.
    eventually("it has started", async || project.data().is_dir()).await;
    dev.signal(rustix::process::Signal::TERM);
    assert!(dev.ended().await.success(), "{}", dev.log());
    project.dev().await.stop().await;
}

#[tokio::test]
async fn queue_takes_payloads_from_files_and_pgqueuers_options() {
    let project = Project::new();
    let dev = project.dev().await;
    let payload = project.folder.path().join("payload.json");
    std::fs::write(&payload, r#"{"name": "file"}"#).unwrap();
    let file = payload.to_str().unwrap();
    let options = [
        "hello",
        "--payload-file",
        file,
        "--delay",
        "1h",
        "--priority",
        "-3",
        "--header",
        "a=b=c",
        "--dedupe-key",
        "k",
    ];
    assert!(project.queue(&options).await.status.success());

    let duplicate = project.queue(&["hello", "--dedupe-key", "k"]).await;
    assert_eq!(duplicate.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&duplicate.stderr).contains("\"k\""));
    assert!(project.queue(&["hello", "--dedupe-key", "k", "--on-conflict", "skip"]).await.status.success());

    let mut connection = PgConnection::connect(&project.dsn()).await.unwrap();
    let row: (i32, Vec<u8>, String, bool, i64) = sqlx::query_as(
        "SELECT priority, payload, headers->>'a', execute_after > now() + interval '59 min', (SELECT count(*) FROM pgqueuer) FROM pgqueuer",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(row, (-3, br#"{"name": "file"}"#.to_vec(), "b=c".into(), true, 1));

    for (args, remedy) in [(vec!["hello", "--delay", "soon"], "15m"), (vec!["hello", "--header", "x"], "NAME=VALUE")] {
        let wrong = project.queue(&args).await;
        assert_eq!(wrong.status.code(), Some(2), "usage");
        assert!(String::from_utf8_lossy(&wrong.stderr).contains(remedy), "{wrong:?}");
    }
    dev.stop().await;
}

#[tokio::test]
async fn a_worker_on_a_database_without_tables_says_what_to_run() {
    let (database, plugins) = (pgq_host_tests::Database::empty().await, Plugins::with(&["hello"]));
    let mut host = Host::spawn(&database, &plugins, &[]);
    assert_eq!(host.ended().await.code(), Some(1));
    eventually("the remedy is logged", async || host.log().contains("pgq-host install")).await;
}

//! Plugins that were built against an earlier contract, by several tool chains, run as they did:
//! `tests/fixtures/plugins/README.md`.

use std::path::{Path, PathBuf};

use pgq_host_tests::{Database, Host, Plugins};
use serde_json::json;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plugins/0.1.0")
}

fn stored(language: &str) -> Vec<u8> {
    let file = fixtures().join(format!("{language}.wasm.zz"));
    miniz_oxide::inflate::decompress_to_vec_zlib(&std::fs::read(file).unwrap()).unwrap()
}

async fn host(component: Vec<u8>) -> (Database, Plugins, Host) {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.write("golden.wasm", component);
    std::fs::write(plugins.config(), "[plugins.golden]\nenqueue = [\"after\"]\n").unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    (database, plugins, host)
}

/// What the handlers of all languages do.
async fn runs_as_it_did(component: Vec<u8>) {
    let (database, _plugins, host) = host(component).await;
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await.as_deref(), Some("x"));
    database.wait_until_done().await;
    let after = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'after' AND status = 'successful'";
    assert_eq!(database.count(after).await, 1);
    for (entrypoint, kind, message) in [("retry", "Retry", "no luck"), ("reject", "Reject", "never")] {
        let id = database.enqueue(entrypoint, "").await;
        database.wait_for(id, "failed").await;
        let fault = database.traceback(id).await;
        assert_eq!((&fault["exception_type"], &fault["exception_message"]), (&json!(kind), &json!(message)));
    }
    let id = database.enqueue("discard", "").await;
    database.wait_for(id, "canceled").await;
    // The first run traps.
    let id = database.enqueue("trap", "").await;
    database.wait_for(id, "successful").await;
    assert_eq!(
        database
            .count(&format!(
                "SELECT count(*) FROM pgqueuer_log WHERE job_id = {id} AND traceback ->> 'exception_type' = 'Trap'"
            ))
            .await,
        1
    );
    let log = host.stop().await;
    assert!(log.contains("said"), "{log}");
}

#[tokio::test]
async fn of_0_1_0_in_rust() {
    runs_as_it_did(stored("rust")).await;
    let (database, _plugins, host) = host(stored("rust")).await;
    for entrypoint in ["snooze", "many", "daily", "declared"] {
        let id = database.enqueue(entrypoint, "").await;
        database.wait_for(id, "successful").await;
    }
    let id = database.enqueue("sql", "").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await.as_deref(), Some("refused"));
    let log = host.stop().await;
    for need in ["localhost:1", "config.", "SECRET", "VARIABLE", "/data", "sql"] {
        assert!(log.lines().any(|line| line.contains("it needs") && line.contains(need)), "{need}: {log}");
    }
}

#[tokio::test]
async fn of_0_1_0_in_c() {
    runs_as_it_did(stored("c")).await;
}

#[tokio::test]
async fn of_0_1_0_in_go() {
    runs_as_it_did(stored("go")).await;
}

#[tokio::test]
async fn of_0_1_0_in_python_and_javascript() {
    let Some(folder) = std::env::var_os("PGQ_GOLDEN_PLUGINS") else {
        eprintln!("SKIPPED: PGQ_GOLDEN_PLUGINS names no folder; tests/fixtures/plugins/0.1.0/build.sh fills one");
        return;
    };
    for language in ["python", "js"] {
        runs_as_it_did(std::fs::read(Path::new(&folder).join(format!("{language}.wasm"))).unwrap()).await;
    }
    // 14 core instances each. No job is claimed that cannot start.
    let (database, _plugins, host) = host(std::fs::read(Path::new(&folder).join("python.wasm")).unwrap()).await;
    database.enqueue_many("sleep", 100, "").await;
    database.wait_until_done().await;
    let log = |status| format!("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'sleep' AND status = '{status}'");
    assert_eq!((database.count(&log("picked")).await, database.count(&log("successful")).await), (100, 100));
    let at_once = database.most_at_once("sleep").await;
    eprintln!("{at_once} Python jobs at once");
    assert!(at_once > 58, "{at_once}");
    host.stop().await;
}

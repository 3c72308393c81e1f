//! From the release before to this one and back, host by host, while jobs arrive and run. An HTTP
//! receiver and rows of follow-up jobs count what really happened: nothing is lost, nothing is done
//! twice.
//!
//! `make upgrade` builds the old host from its tag (`tests/upgrade/build.sh`) and names its folder in
//! `PGQ_OLD_HOST`. The plugin is of that release as well, so that the contract is tried, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pgq_host_tests::{Database, Host, Plugins, Receiver, eventually, host_binary};
use tokio::process::Command;

/// How many jobs wait at most before more are enqueued: enough that every host has some.
const WAITING: i64 = 150;

/// The folder with the host and the plugin of the release before.
fn old() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("PGQ_OLD_HOST").map(PathBuf::from) else {
        eprintln!("SKIPPED: PGQ_OLD_HOST names no host of the release before (`make upgrade` builds it from its tag)");
        return None;
    };
    for file in ["pgq-host", "chaos.wasm"] {
        assert!(folder.join(file).is_file(), "there is no {file} in {}: run `make upgrade`", folder.display());
    }
    Some(folder)
}

/// The two releases.
struct Releases {
    old: PathBuf,
    plugins: Plugins,
    receiver: String,
    dsn: String,
}

impl Releases {
    /// A host of one of them. The receiver is told which.
    fn host(&self, old: bool) -> Host {
        let name = if old { "old" } else { "new" };
        let config = self.plugins.path().join(format!("{name}.toml"));
        let grants = format!(
            "[plugins.chaos]\nhttp = [\"http://{0}\"]\nenqueue = [\"sealed_effect\"]\n\
             [plugins.chaos.entrypoints.sealed]\nclaim = \"locked\"\n\
             [plugins.chaos.env]\nRECEIVER = \"{0}\"\nHOST = \"{name}\"\n",
            self.receiver
        );
        std::fs::write(&config, grants).expect("written");
        let mut command = Command::new(if old { self.old.join("pgq-host") } else { host_binary() });
        command.args(["run", "--max-concurrent-tasks", "8", "--plugins"]).arg(self.plugins.path());
        command.env("PGDSN", &self.dsn).env("PGQ_HOST_CONFIG", config);
        Host::launch(command)
    }

    async fn ready(&self, old: bool) -> Host {
        let host = self.host(old);
        host.wait_for_log("ready").await;
        host
    }

    /// Run a verb of the old release.
    async fn old_verb(&self, verb: &[&str]) {
        let output = Command::new(self.old.join("pgq-host")).args(verb).env("PGDSN", &self.dsn).output().await;
        let output = output.expect("it starts");
        assert!(output.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

async fn ended(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await
}

/// Hosts work on for a while.
async fn progress(database: &Database, what: &str) {
    let done = ended(database).await;
    eventually(what, async || ended(database).await > done + 2 * WAITING).await;
}

#[tokio::test]
async fn hosts_of_the_release_before_and_of_this_one_take_turns_under_load_and_nothing_is_lost_or_done_twice() {
    let Some(old) = old() else { return };
    let (database, receiver) = (Database::empty().await, Receiver::start(vec![200; 1 << 20]).await);
    let plugins = Plugins::with(&[]);
    std::fs::copy(old.join("chaos.wasm"), plugins.path().join("chaos.wasm")).expect("copied");
    let address = receiver.origin().trim_start_matches("http://").to_owned();
    let releases = Releases { old, plugins, receiver: address, dsn: database.dsn() };
    releases.old_verb(&["install"]).await;

    let stop = Arc::new(AtomicBool::new(false));
    let producer = async {
        let mut enqueued: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        while !stop.load(Ordering::Relaxed) {
            let waiting = "SELECT count(*) FROM pgqueuer WHERE entrypoint <> 'sealed_effect'";
            eventually("the queue moves", async || database.count(waiting).await < WAITING).await;
            for (entrypoint, count) in [("work", 40), ("limited", 4), ("sealed", 40)] {
                let ids = database.enqueue_many(entrypoint, count, r#"{"ms": 5}"#).await;
                enqueued.entry(entrypoint).or_default().extend(ids);
            }
        }
        enqueued
    };
    let rollout = async {
        let mut hosts = Vec::new();
        for _ in 0..3 {
            hosts.push(releases.ready(true).await);
        }
        progress(&database, "the old ones work").await;
        database.cli_ok(&["upgrade"]).await;
        database.cli_ok(&["verify", "--expect", "present"]).await;
        progress(&database, "the old ones work on the new schema").await;
        let mut logs = Vec::new();
        for old in [false, true] {
            for host in &mut hosts {
                let next = releases.ready(old).await;
                progress(&database, "both releases work side by side").await;
                logs.push(std::mem::replace(host, next).stop().await);
                progress(&database, "what is left works on").await;
            }
        }
        // The tools of the release before accept what is there now.
        releases.old_verb(&["verify", "--expect", "present"]).await;
        stop.store(true, Ordering::Relaxed);
        (hosts, logs)
    };
    let (enqueued, (hosts, mut logs)) = tokio::join!(producer, rollout);
    let left = "SELECT count(*) FROM pgqueuer WHERE entrypoint <> 'sealed_effect'";
    eventually("all are done", async || database.count(left).await == 0).await;
    for host in hosts {
        logs.push(host.stop().await);
    }

    // What the receiver was told: each job began once, at its first attempt, and ended once.
    let mut told: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    let mut by_release = BTreeMap::from([("old", 0), ("new", 0)]);
    for request in receiver.requests() {
        let path = request.split(' ').nth(1).expect("a path").to_owned();
        let [_, what, id, attempt, host] = path.split('/').collect::<Vec<_>>()[..] else { panic!("{path}") };
        told.entry((what.to_owned(), id.parse().expect("a job"))).or_default().push(format!("{attempt} on {host}"));
        *by_release.get_mut(host).expect("a release") += 1;
    }
    for id in enqueued["work"].iter().chain(&enqueued["limited"]) {
        for what in ["begin", "end"] {
            let runs = told.remove(&(what.to_owned(), *id)).unwrap_or_default();
            assert!(matches!(&runs[..], [run] if run.starts_with("1 on ")), "job {id} {what}: {runs:?}");
        }
    }
    assert!(told.is_empty(), "nobody asked for {told:?}");
    assert!(by_release.values().all(|runs| *runs > 100), "both worked: {by_release:?}");
    // Jobs that are only locked while they run: what each left, once.
    let effects: Vec<i64> = sqlx::query_scalar(
        "SELECT convert_from(payload, 'UTF8')::bigint FROM pgqueuer WHERE entrypoint = 'sealed_effect' ORDER BY 1",
    )
    .fetch_all(database.pool())
    .await
    .expect("the effects");
    assert_eq!(effects, enqueued["sealed"]);
    let all = enqueued.values().map(Vec::len).sum::<usize>();
    assert_eq!(usize::try_from(ended(&database).await).expect("a number"), all);
    let others = "SELECT count(*) FROM pgqueuer_log WHERE status NOT IN ('queued', 'picked', 'successful')";
    assert_eq!(database.count(others).await, 0);
    assert!(database.most_at_once("limited").await <= 2);
    for log in logs {
        let complaints: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
            // What the old ones say of the schema before the upgrade, and of its upgrade.
            .filter(|line| !line.contains("that of an earlier release"))
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
    eprintln!("{all} jobs; messages to the receiver: {by_release:?}");
}

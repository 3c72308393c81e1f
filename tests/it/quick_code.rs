//! A new version runs on quick code until its optimised code is there. Nothing else about it
//! changes then, and no job notices.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgq_engine::{
    self as wasm, AssignedJob, CallReport, CallSpec, CodeCache, Control, Engine, EngineSettings, Improved, Loaded,
    RunLimits,
};
use pgq_host_tests::{Database, Host, Plugins, eventually, guest, host_binary, run_command};
use pgq_job::{Claim, Job, Verdict};

use crate::reload::{sha256, version};

pub(crate) fn engine() -> Engine {
    let settings =
        EngineSettings { max_instances: 10, max_memory: 64 << 20, max_guest_memory: 1 << 30, compile_timeout: None };
    Engine::new(&settings).unwrap()
}

async fn quick(engine: &Engine, bytes: &[u8]) -> Arc<Loaded> {
    let cache = CodeCache::disabled().quick_first();
    Arc::new(wasm::load(engine, &cache, "reuse", bytes, 0, &[], |_| Default::default()).await.unwrap())
}

pub(crate) async fn run(engine: &Engine, plugin: &Arc<Loaded>, payload: &str) -> CallReport {
    let job = Job {
        id: 1,
        priority: 0,
        created_ms: 0,
        due: chrono::DateTime::UNIX_EPOCH,
        entrypoint: Arc::from("counter"),
        payload: Some(payload.into()),
        headers: None,
        attempts: 0,
        unread: None,
        share: None,
        claim: Claim { id: 1, at: chrono::DateTime::UNIX_EPOCH },
        suspicion: None,
    };
    let limits = RunLimits { timeout: Duration::from_secs(60), memory: 64 << 20, max_attempts: 1 };
    let (plugin, entrypoint) = (Arc::clone(plugin), Arc::from("counter"));
    let spec =
        CallSpec { plugin, entrypoint, limits, reuse: 100, batched: false, kept_lines: 0, sql: None, trace: None };
    wasm::run(engine, &spec, &[AssignedJob { job: Arc::new(job), control: Arc::new(Control::default()), trace: None }])
        .await
}

/// The guest's answer: the number of this job in its instance.
fn number(report: &CallReport) -> &str {
    match &report.verdicts[..] {
        [Verdict::Complete { output: Some(output), .. }] => std::str::from_utf8(output).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn code_is_replaced_while_jobs_run_and_no_instance_is_kept_beyond_its_code() {
    let (engine, bytes) = (engine(), std::fs::read(guest("reuse")).unwrap());
    let plugin = quick(&engine, &bytes).await;
    for expected in ["1", "2"] {
        assert_eq!(number(&run(&engine, &plugin, "").await), expected);
    }
    let improvement = plugin.improvement().expect("quick code");
    // The third job of that instance sleeps while the code is replaced.
    let cache = CodeCache::disabled();
    let (report, improved) = tokio::join!(run(&engine, &plugin, "slow"), improvement.run(&engine, &cache, &bytes));
    assert!(matches!(improved, Improved::Done), "{improved:?}");
    assert_eq!(number(&report), "3", "it ended on what it began with");
    assert!(plugin.improvement().is_none(), "nothing is left to do");
    for expected in ["1", "2"] {
        assert_eq!(number(&run(&engine, &plugin, "").await), expected, "a new instance, which is kept");
    }
}

#[tokio::test]
async fn quick_code_stays_if_there_is_no_better_and_nothing_is_compiled_for_a_version_that_is_gone() {
    let (engine, bytes) = (engine(), std::fs::read(guest("reuse")).unwrap());
    let (plugin, cache) = (quick(&engine, &bytes).await, CodeCache::disabled());
    let failed = plugin.improvement().unwrap().run(&engine, &cache, &bytes[..bytes.len() / 2]).await;
    assert!(matches!(failed, Improved::Failed(_)), "{failed:?}");
    for expected in ["1", "2"] {
        assert_eq!(number(&run(&engine, &plugin, "").await), expected);
    }
    let improvement = plugin.improvement().expect("it may be tried again");
    // Other grants, the same code: both runs and improvement are about what they share.
    let regranted = Arc::new(plugin.regranted(Default::default()).unwrap());
    drop(plugin);
    assert!(matches!(improvement.run(&engine, &cache, &bytes).await, Improved::Done));
    assert_eq!(number(&run(&engine, &regranted, "").await), "1");
    let other = quick(&engine, &bytes).await;
    let improvement = other.improvement().unwrap();
    drop(other);
    let gone = improvement.run(&engine, &cache, &bytes).await;
    assert!(matches!(gone, Improved::NotNeeded), "{gone:?}");
}

/// The compiled code in a cache, without the versions that were served.
fn compiled(cache: &Path) -> Vec<String> {
    let names = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".cwasm")).collect()
}

#[tokio::test]
async fn a_host_serves_quick_code_first_and_starts_with_optimised_code_the_next_time() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let bytes = version("reuse", fastrand::u32(..100_000_000));
    plugins.replace("reuse.wasm", &bytes);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("code");
    let args = ["--cache-dir", folder.to_str().unwrap(), "--log-level", "debug"];
    let host = Host::start(&database, &plugins, &args).await;
    // Jobs run all the while.
    let mut jobs = Vec::new();
    eventually("its optimised code is in use", async || {
        jobs.extend(database.enqueue_many("counter", 50, "").await);
        host.log().contains("jobs run on optimised code")
    })
    .await;
    database.wait_until_done().await;
    let log = host.stop().await;
    assert_eq!(log.matches("plugin loaded").count(), 1, "it is not loaded a second time: {log}");
    assert_eq!(log.matches("jobs run on optimised code").count(), 1, "{log}");
    for status in ["picked", "successful"] {
        let rows = format!("SELECT count(*) FROM pgqueuer_log WHERE status = '{status}'");
        let different = format!("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = '{status}'");
        let all = jobs.len() as i64;
        assert_eq!((database.count(&rows).await, database.count(&different).await), (all, all), "{status}");
    }
    // All of them ran on one version, whichever code it had.
    let ran = format!(
        "SELECT count(*) FROM pgqueuer_attempt a JOIN pgqueuer_plugin p ON p.key = a.plugin WHERE p.sha256 = '{}'",
        sha256(&bytes)
    );
    assert_eq!(database.count(&ran).await, jobs.len() as i64);
    // What is left in the cache is the optimised code, and the next start has no better to make.
    let left = compiled(&folder);
    assert!(left.len() == 1 && !left[0].contains("quick"), "{left:?}");
    let stored = std::fs::read(folder.join(&left[0])).unwrap();
    let host = Host::start(&database, &plugins, &args).await;
    let last = database.enqueue("counter", "").await;
    database.wait_for(last, "successful").await;
    let log = host.stop().await;
    assert!(!log.contains("jobs run on optimised code"), "{log}");
    assert_eq!((compiled(&folder), std::fs::read(folder.join(&left[0])).unwrap()), (left.clone(), stored));
}

#[tokio::test]
async fn a_host_that_stopped_too_early_goes_on_with_its_quick_code() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let bytes = version("reuse", fastrand::u32(..100_000_000));
    plugins.replace("reuse.wasm", &bytes);
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("code");
    let args = ["--cache-dir", folder.to_str().unwrap(), "--log-level", "debug"];
    let host = Host::start(&database, &plugins, &args).await;
    host.wait_for_log("jobs run on optimised code").await;
    let optimised = compiled(&folder).remove(0);
    host.kill().await;
    // As if it had been killed before that: a command leaves quick code behind, and compiles no better.
    std::fs::remove_file(folder.join(&optimised)).unwrap();
    let there = plugins.path().to_str().unwrap();
    let mut list = tokio::process::Command::new(host_binary());
    list.args(["plugin", "list", "--plugins", there, "--cache-dir", args[1]]);
    let listed = run_command(list).await;
    let left = compiled(&folder);
    assert!(left.len() == 1 && left[0].contains("quick"), "{left:?} {listed:?}");
    let host = Host::start(&database, &plugins, &args).await;
    host.wait_for_log("jobs run on optimised code").await;
    let job = database.enqueue("counter", "").await;
    database.wait_for(job, "successful").await;
    host.stop().await;
    assert_eq!(compiled(&folder), [optimised]);
}

#[tokio::test]
async fn a_command_that_runs_a_plugin_takes_the_code_of_one_that_looked_at_it() {
    let plugins = Plugins::with(&[]);
    plugins.replace("reuse.wasm", version("reuse", fastrand::u32(..100_000_000)));
    let file = plugins.path().join("reuse.wasm");
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("code");
    let command = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(host_binary());
        command.arg("plugin").args(args).arg(&file).arg("--cache-dir").arg(&folder);
        let said = run_command(command).await;
        assert_eq!(said.code, 0, "{said:?}");
    };
    command(&["inspect"]).await;
    let code = compiled(&folder);
    assert!(code.len() == 1 && code[0].contains("quick"), "{code:?}");
    command(&["run", "--entrypoint", "counter", "--payload", ""]).await;
    assert_eq!(compiled(&folder), code, "nothing was compiled again");
}

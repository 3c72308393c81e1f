//! The plugins folder changes while the host works: what is served follows it, and no job is
//! affected.

use pgq_host_tests::{Database, Host, Plugins, eventually, guest, run_command};
use serde_json::Value;

use crate::chaos::slow_to_compile;

/// The component with another digest, by means of a section at its end that nobody reads.
pub(crate) fn version(guest_name: &str, number: u32) -> Vec<u8> {
    let mut bytes = std::fs::read(guest(guest_name)).expect("read");
    let text = format!("\u{7}version{number:08}");
    bytes.push(0);
    bytes.push(u8::try_from(text.len()).expect("short"));
    bytes.extend(text.bytes());
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    pgq_engine::digest::sha256(bytes)
}

/// Which version ran the job's attempts, in order.
async fn ran_by(database: &Database, job: i64) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT p.sha256 FROM pgqueuer_attempt a JOIN pgqueuer_plugin p ON p.key = a.plugin WHERE job_id = $1 ORDER BY attempt",
    )
    .bind(job)
    .fetch_all(database.pool())
    .await
    .expect("attempts")
}

/// Enqueue a job and run it to its end.
async fn echo(database: &Database) -> String {
    let job = database.enqueue("echo", "x").await;
    database.wait_for(job, "successful").await;
    let mut versions = Vec::new();
    // The versions themselves are announced separately, and the first job may be faster.
    eventually("its version is known", async || {
        versions = ran_by(database, job).await;
        !versions.is_empty()
    })
    .await;
    assert_eq!(versions.len(), 1, "{versions:?}");
    versions.remove(0)
}

/// Wait until jobs run on this version. The first may still belong to a claim from before the
/// version was published.
async fn runs_on(database: &Database, digest: &str) {
    eventually("jobs run on the version", async || echo(database).await == digest).await;
    assert_eq!(echo(database).await, digest);
}

/// The host's announcement in the database, as soon as it satisfies the condition.
async fn announced(database: &Database, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    eventually(what, async || {
        let row: Option<Value> = sqlx::query_scalar("SELECT plugins FROM pgqueuer_host")
            .fetch_optional(database.pool())
            .await
            .expect("a row");
        last = row.unwrap_or_default();
        holds(&last)
    })
    .await;
    last
}

#[tokio::test]
async fn a_file_added_replaced_and_removed_is_followed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let host = Host::start(&database, &plugins, &[]).await;
    let waits = database.enqueue("echo", "early").await;
    let (one, two) = (version("hostile", 1), version("hostile", 2));

    plugins.replace("hostile.wasm", &one);
    database.wait_for(waits, "successful").await;
    announced(&database, "the first version", |plugins| plugins[0]["sha256"] == sha256(&one).as_str()).await;
    assert_eq!(ran_by(&database, waits).await, [sha256(&one)]);

    plugins.replace("hostile.wasm", &two);
    announced(&database, "the second version", |plugins| plugins[0]["sha256"] == sha256(&two).as_str()).await;
    runs_on(&database, &sha256(&two)).await;

    plugins.remove("hostile.wasm");
    host.wait_for_log("plugin removed").await;
    announced(&database, "nothing", |plugins| plugins.as_array().is_some_and(Vec::is_empty)).await;
    // A plugin with another entrypoint arrives and works: the host is alive, and its claims ask for
    // what is served now.
    plugins.put("hello");
    let hello = async || database.wait_for(database.enqueue("hello", r#"{"name":"you"}"#).await, "successful").await;
    hello().await;
    let stays = database.enqueue("echo", "late").await;
    hello().await;
    assert_eq!(database.history(stays).await, ["queued"], "{}", host.log());
    host.stop().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_host").await, 0, "it took its announcement back");
}

#[tokio::test]
async fn a_file_written_in_place_little_by_little_is_served_when_it_is_whole() {
    use std::io::Write as _;
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let host = Host::start(&database, &plugins, &[]).await;
    let (one, two) = (version("hostile", 1), version("hostile", 2));
    for bytes in [&one, &two] {
        let mut file = std::fs::File::create(plugins.path().join("hostile.wasm")).expect("created");
        for part in bytes.chunks(bytes.len() / 20) {
            file.write_all(part).expect("written");
            file.sync_data().expect("synced");
        }
        drop(file);
        let digest = sha256(bytes);
        announced(&database, "the version", |plugins| {
            plugins[0]["sha256"] == digest.as_str() && plugins[0]["error"].is_null()
        })
        .await;
        runs_on(&database, &digest).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn a_symlink_swap_as_kubernetes_does_it_is_followed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let (one, two) = (version("hostile", 1), version("hostile", 2));
    let path = plugins.path();
    // A mounted ConfigMap: the file is a link into `..data`, which is a link to a folder with a
    // time in its name.
    for (folder, bytes) in [("..one", &one), ("..two", &two)] {
        std::fs::create_dir(path.join(folder)).expect("made");
        std::fs::write(path.join(folder).join("hostile.wasm"), bytes).expect("written");
    }
    std::os::unix::fs::symlink("..one", path.join("..data")).expect("linked");
    std::os::unix::fs::symlink("..data/hostile.wasm", path.join("hostile.wasm")).expect("linked");
    let host = Host::start(&database, &plugins, &[]).await;
    runs_on(&database, &sha256(&one)).await;
    std::os::unix::fs::symlink("..two", path.join("..new")).expect("linked");
    std::fs::rename(path.join("..new"), path.join("..data")).expect("swapped");
    announced(&database, "the second version", |plugins| plugins[0]["sha256"] == sha256(&two).as_str()).await;
    runs_on(&database, &sha256(&two)).await;
    host.stop().await;
}

#[tokio::test]
async fn a_folder_that_is_itself_a_link_can_be_swapped() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let (one, two) = (version("hostile", 1), version("hostile", 2));
    let current = plugins.path().join("current");
    for (release, bytes) in [("1", &one), ("2", &two)] {
        std::fs::create_dir(plugins.path().join(release)).expect("made");
        std::fs::write(plugins.path().join(release).join("hostile.wasm"), bytes).expect("written");
    }
    std::os::unix::fs::symlink("1", &current).expect("linked");
    let mut command = pgq_host_tests::pgq_host(&database.dsn());
    command.arg("run").arg("--plugins").arg(&current);
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    runs_on(&database, &sha256(&one)).await;
    std::os::unix::fs::symlink("2", plugins.path().join("new")).expect("linked");
    std::fs::rename(plugins.path().join("new"), &current).expect("swapped");
    // The abandoned folder sends no event, so SIGHUP or the poll finds the change.
    host.signal(rustix::process::Signal::HUP);
    announced(&database, "the second version", |plugins| plugins[0]["sha256"] == sha256(&two).as_str()).await;
    runs_on(&database, &sha256(&two)).await;
    // From now on, events come from the new folder.
    std::fs::remove_file(plugins.path().join("2/hostile.wasm")).expect("removed");
    host.wait_for_log("plugin removed").await;
    // A folder that disappears for a moment, like a mount, takes nothing away.
    std::fs::write(plugins.path().join("2/hostile.wasm"), &one).expect("written");
    announced(&database, "it is back", |plugins| plugins[0]["sha256"] == sha256(&one).as_str()).await;
    std::fs::remove_file(&current).expect("removed");
    host.signal(rustix::process::Signal::HUP);
    host.wait_for_log("plugins are served as they were").await;
    runs_on(&database, &sha256(&one)).await;
    host.stop().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_new_version_the_old_one_stays() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let good = std::fs::read(guest("hostile")).expect("read");
    let mut damaged = good.clone();
    damaged[good.len() / 2..good.len() / 2 + 64].fill(0xff);
    let bad: [(&[u8], &str); 8] = [
        (b"", "empty"),
        (b"not wasm at all", "not WebAssembly"),
        (&good[..good.len() / 3], "truncated"),
        (&damaged, "damaged"),
        (b"\0asm\x01\0\0\0", "core module"),
        (b"\0asm\x0d\0\x01\0", "does not export"),
        (&std::fs::read(guest("describe-loops")).expect("read"), "DeadlineExceeded"),
        (&std::fs::read(guest("describe-lies")).expect("read"), "invalid declaration"),
    ];
    let mut before = String::new();
    for (bytes, why) in bad {
        plugins.replace("hostile.wasm", bytes);
        let is_new =
            |plugins: &Value| plugins[0]["error"].as_str().is_some_and(|error| error.contains(why) && error != before);
        let state = announced(&database, why, is_new).await;
        before = state[0]["error"].as_str().unwrap().to_owned();
        assert_eq!(state[0]["sha256"], sha256(&good), "{state}");
        runs_on(&database, &sha256(&good)).await;
    }
    plugins.replace("hostile.wasm", version("hostile", 2));
    announced(&database, "mended", |plugins| plugins[0]["error"].is_null()).await;
    runs_on(&database, &sha256(&version("hostile", 2))).await;
    let log = host.stop().await;
    assert_eq!(log.matches("plugin refused").count(), bad.len(), "each is said once: {log}");
}

#[tokio::test]
async fn a_new_file_never_takes_over_an_entrypoint_and_waits_for_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.put_as("hostile", "m.wasm");
    let host = Host::start(&database, &plugins, &[]).await;
    // It comes first by name, and declares `echo`.
    plugins.put_as("taken", "a.wasm");
    host.wait_for_log("is already served by").await;
    runs_on(&database, &sha256(&std::fs::read(guest("hostile")).expect("read"))).await;
    plugins.remove("m.wasm");
    announced(&database, "its turn", |plugins| plugins[0]["file"] == "a.wasm" && plugins[0]["error"].is_null()).await;
    host.stop().await;
}

#[tokio::test]
async fn running_jobs_end_on_the_version_they_started_with() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let (one, two) = (version("hostile", 1), version("hostile", 2));
    plugins.replace("hostile.wasm", &one);
    let host = Host::start(&database, &plugins, &[]).await;
    let long = database.enqueue("obedient", "").await;
    database.wait_for(long, "picked").await;
    plugins.replace("hostile.wasm", &two);
    announced(&database, "the second version", |plugins| plugins[0]["sha256"] == sha256(&two).as_str()).await;
    runs_on(&database, &sha256(&two)).await;
    let said = run_command({
        let mut command = pgq_host_tests::pgq_host(&database.dsn());
        command.args(["cancel", &long.to_string()]);
        command
    })
    .await;
    assert_eq!(said.code, 0, "{said:?}");
    host.stop().await;
}

/// Breakers that open soon.
const NERVOUS: &str = "[circuit-breaker]\nwindow = 10\ncrashes = 4\npause = \"1h\"\n";

/// A host with this configuration.
async fn configured(database: &Database, plugins: &Plugins, config: &str) -> Host {
    plugins.write("pgq-host.toml", config);
    Host::start(database, plugins, &[]).await
}

async fn run_cli(database: &Database, args: &[&str]) -> pgq_host_tests::CliOutput {
    let mut command = pgq_host_tests::pgq_host(&database.dsn());
    command.args(args);
    run_command(command).await
}

#[tokio::test]
async fn an_entrypoint_that_crashes_run_after_run_is_paused_and_its_jobs_wait() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = configured(&database, &plugins, NERVOUS).await;
    database.enqueue_many("panics", 4, "").await;
    announced(&database, "it is paused", |plugins| plugins[0]["paused"] == serde_json::json!(["panics"])).await;
    // Once another job was claimed, claims ask for what is served now.
    echo(&database).await;
    database.enqueue_many("panics", 10, "").await;
    // The plugin's other entrypoints remain in service, and the paused one is not claimed with
    // them.
    for _ in 0..3 {
        echo(&database).await;
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'panics' AND status = 'queued' AND attempts = 0")
            .await,
        10
    );
    let listed = run_cli(&database, &["plugin", "list", "--hosts"]).await;
    assert!(listed.stdout.contains("paused: panics"), "{listed:?}");

    // After an operator's reset, it is tried again, and paused again.
    let unknown = run_cli(&database, &["plugin", "reset", "nobody"]).await;
    assert!(unknown.code == 1 && unknown.stderr.contains("nobody"), "{unknown:?}");
    assert_eq!(run_cli(&database, &["plugin", "reset", "panics"]).await.code, 0);
    eventually("it was tried again", async || {
        database
            .count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'panics' AND status = 'queued' AND attempts = 0")
            .await
            <= 6
    })
    .await;
    // A new version is tried at once.
    plugins.replace("hostile.wasm", version("hostile", 2));
    announced(&database, "the new version", |plugins| plugins[0]["sha256"] == sha256(&version("hostile", 2)).as_str())
        .await;
    host.stop().await;
}

#[tokio::test]
async fn a_version_that_crashes_makes_room_for_the_one_before_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.put_as("good", "job.wasm");
    let host = configured(&database, &plugins, NERVOUS).await;
    let run = async || database.enqueue("work", "").await;
    database.wait_for(run().await, "successful").await;
    plugins.put_as("bad", "job.wasm");
    announced(&database, "the bad version", |plugins| plugins[0]["version"] == "2.0.0").await;
    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(run().await);
    }
    // The good version runs again whatever the bad one failed.
    for job in jobs {
        database.wait_for(job, "successful").await;
    }
    let state = announced(&database, "the good version", |plugins| plugins[0]["version"] == "1.0.0").await;
    assert!(
        state[0]["error"].as_str().is_some_and(|error| error.contains("version 2.0.0 was taken out of service")),
        "{state}"
    );
    // At an operator's request, the host tries the file again.
    assert_eq!(run_cli(&database, &["plugin", "reset", "job"]).await.code, 0);
    announced(&database, "the bad version again", |plugins| plugins[0]["version"] == "2.0.0").await;
    host.stop().await;
}

#[tokio::test]
async fn a_canary_runs_a_share_of_the_jobs_until_it_is_promoted_or_fails() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.put_as("good", "job.wasm");
    let host =
        configured(&database, &plugins, &format!("{NERVOUS}[plugins.job]\ncanary = {{ percent = 30, runs = 50 }}\n"))
            .await;
    plugins.put_as("bad", "job.wasm");
    announced(&database, "the bad canary", |plugins| plugins[0]["canary"]["version"] == "2.0.0").await;
    database.enqueue_many("work", 100, "").await;
    let state = announced(&database, "it is gone", |plugins| plugins[0]["canary"].is_null()).await;
    assert!(
        state[0]["version"] == "1.0.0" && state[0]["error"].as_str().is_some_and(|error| error.contains("2.0.0")),
        "{state}"
    );
    database.wait_until_done().await;

    let better = version("good", 3);
    plugins.replace("job.wasm", &better);
    announced(&database, "the good canary", |plugins| plugins[0]["canary"]["sha256"] == sha256(&better).as_str()).await;
    let ran = format!(
        "SELECT count(*) FROM pgqueuer_attempt a JOIN pgqueuer_plugin p ON p.key = a.plugin WHERE p.sha256 {} '{}' AND a.created > '{}'",
        "{}",
        sha256(&better),
        sqlx::query_scalar::<_, String>("SELECT now()::text").fetch_one(database.pool()).await.unwrap()
    );
    database.enqueue_many("work", 40, "").await;
    database.wait_until_done().await;
    let by = async |sign: &str| database.count(&ran.replacen("{}", sign, 1)).await;
    let (canary, stable) = (by("=").await, by("<>").await);
    assert!(canary > 0 && stable > canary, "a share, not all: {canary} of {}", canary + stable);
    assert_eq!(announced(&database, "still a canary", |_| true).await[0]["version"], "1.0.0");
    eventually("it has proved itself", async || {
        database.enqueue_many("work", 20, "").await;
        database.wait_until_done().await;
        let state = announced(&database, "a state", |plugins| plugins[0].is_object()).await;
        state[0]["sha256"] == sha256(&better).as_str() && state[0]["canary"].is_null()
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn compiling_a_component_is_cancelled_if_it_takes_too_long() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["hello"]));
    // Nobody has compiled this one before: a section that nobody reads has a name of its own.
    let mut component = slow_to_compile();
    component.extend([0, 17, 16]);
    component.extend(uuid::Uuid::new_v4().simple().to_string().as_bytes()[..16].iter());
    // It takes more than 100 ms, and the last attempt has eight times as long as the first.
    let host = configured(&database, &plugins, "[limits]\ncompile-timeout = \"10ms\"\n").await;
    plugins.replace("bomb.wasm", component);
    let is_told = |plugins: &Value| {
        plugins.as_array().is_some_and(|files| {
            files.iter().any(|file| {
                file["file"] == "bomb.wasm"
                    && file["error"].as_str().is_some_and(|error| error.contains("of processor time"))
            })
        })
    };
    announced(&database, "it is given up", is_told).await;
    let hello = database.enqueue("hello", r#"{"name":"you"}"#).await;
    database.wait_for(hello, "successful").await;
    // The compiler is gone.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", host.pid())).unwrap_or_default();
    assert_eq!(children.trim(), "");
    host.stop().await;
}

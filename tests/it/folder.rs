//! What may be in a plugins folder besides plugins, and how much of it: the host serves what it
//! can, at once, and stops when it is told to.

use std::time::Duration;

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, guest};

use crate::chaos::slow_to_compile;
use crate::loading::with_modules;

async fn hello(database: &Database) {
    database.wait_for(database.enqueue("hello", r#"{"name":"you"}"#).await, "successful").await;
}

#[tokio::test]
async fn pipes_devices_folders_and_giants_are_refused_and_a_host_beside_them_stops() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let at = |name: &str| plugins.path().join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.wasm"), rustix::fs::Mode::RWXU).unwrap();
    for (name, target) in [
        ("zero.wasm", "/dev/zero"),
        ("random.wasm", "/dev/urandom"),
        ("self.wasm", "self.wasm"),
        ("proc.wasm", "/proc/kcore"),
    ] {
        std::os::unix::fs::symlink(target, at(name)).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.wasm")).unwrap();
    std::fs::create_dir(at("folder.wasm")).unwrap();
    // The file is sparse.
    std::fs::File::create(at("giant.wasm")).unwrap().set_len(1 << 40).unwrap();
    plugins.write("pgq-host.toml", "[limits]\nplugin-size-mib = 1\n");
    let host = Host::start(&database, &plugins, &[]).await;
    hello(&database).await;
    for (file, cause) in [
        ("pipe.wasm", "a named pipe"),
        ("zero.wasm", "a device"),
        ("random.wasm", "a device"),
        ("socket.wasm", "a socket"),
        ("folder.wasm", "a folder"),
        ("giant.wasm", "plugin-size-mib"),
    ] {
        let said = || {
            host.log()
                .lines()
                .any(|line| line.contains("plugin refused") && line.contains(file) && line.contains(cause))
        };
        eventually(&format!("{file}: {cause}"), async || said()).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn a_start_serves_what_is_there_while_the_rest_is_compiled() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    // Compiled before, by a host with nothing else to do.
    Host::start(&database, &plugins, &[]).await.stop().await;
    for number in 0..3_u8 {
        let mut bomb = slow_to_compile();
        bomb.extend([0, 2, 1, number + b'a']);
        plugins.write(&format!("bomb{number}.wasm"), bomb);
    }
    let pages = Pages::anywhere();
    let host = Host::spawn(&database, &plugins, &["--listen", &pages.address()]);
    hello(&database).await;
    let ready = pages.get("/readyz");
    // On a fast machine, the slow components may have been compiled by now.
    assert!(ready.0 == 200 || ready.1.contains("still loading") || ready.1.contains("worker"), "{ready:?}");
    host.wait_for_log("start_ms").await;
    host.stop().await;
}

#[tokio::test]
async fn many_files_are_loaded_a_few_at_a_time_and_a_stop_waits_for_none() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    Host::start(&database, &plugins, &[]).await.stop().await;
    let small = std::fs::read(guest("good")).unwrap();
    for number in 0..600_u32 {
        // Each is a different, valid component that was never compiled before.
        let mut bytes = small.clone();
        bytes.extend([0, 9, 4]);
        bytes.extend(format!("{number:04}").bytes());
        bytes.extend(std::process::id().to_le_bytes());
        plugins.write(&format!("many{number:03}.wasm"), bytes);
    }
    let cache = tempfile::tempdir().unwrap();
    let mut host = Host::spawn(&database, &plugins, &["--cache-dir", cache.path().join("code").to_str().unwrap()]);
    hello(&database).await;
    let threads = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse::<u32>().ok()).unwrap()
    };
    let compiled = || std::fs::read_dir(cache.path().join("code")).unwrap().count();
    let mut most = 0;
    eventually("a few are compiled", async || {
        most = most.max(threads());
        compiled() > 5
    })
    .await;
    assert!(most < 100, "{most} threads");
    host.signal(rustix::process::Signal::TERM);
    assert!(host.ended().await.success(), "{}", host.log());
}

/// Run jobs of `nap` in this plugin beside those of another one: each is claimed once, and the
/// other plugin does not wait.
async fn beside(bytes: Vec<u8>, naps: usize) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    plugins.write("hostile.wasm", bytes);
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    host.wait_for_log("start_ms").await;
    let long = database.enqueue_many("nap", naps, "1500").await;
    let running = "SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND entrypoint = 'nap'";
    eventually("some run", async || database.count(running).await > 1).await;
    for _ in 0..2 {
        hello(&database).await;
    }
    assert!(
        database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'nap'").await > 0,
        "the others were not waited for"
    );
    // A plugin that arrives meanwhile is served.
    plugins.put("good");
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    for job in long {
        database.wait_for(job, "successful").await;
        assert_eq!(database.history(job).await, ["queued", "picked", "successful"], "claimed once");
    }
    assert!(!pages.get("/metrics").1.contains("pgq_host_no_instance_total 1"), "{}", host.log());
    host.stop().await;
}

#[tokio::test]
async fn a_component_with_a_hundred_core_instances_leaves_other_plugins_their_slots() {
    beside(with_modules("hostile", "(module)", 100), 60).await;
}

#[tokio::test]
async fn a_component_with_many_memories_runs_within_its_share_and_leaves_other_plugins_their_slots() {
    beside(with_modules("hostile", "(module (memory 1))", 4), 16).await;
}

#[tokio::test]
async fn a_component_with_many_tables_leaves_other_plugins_their_slots() {
    beside(with_modules("hostile", "(module (table 10 funcref))", 20), 16).await;
}

#[tokio::test]
async fn many_schedules_are_an_operators_decision() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello", "timetable"]));
    let host = Host::start(&database, &plugins, &[]).await;
    host.wait_for_log(
        "50 schedules of more than once a minute, and the limit is 10; set max-schedules = 50 under [plugins.timetable]",
    )
    .await;
    hello(&database).await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_schedules").await, 0);
    plugins.write("pgq-host.toml", "[plugins.timetable]\nmax-schedules = 50\n");
    host.signal(rustix::process::Signal::HUP);
    eventually("it is served", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 50).await;
    host.stop().await;
}

#[tokio::test]
async fn jobs_that_return_again_and_again_do_not_overload_the_database() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["restless"]));
    let host = Host::start(&database, &plugins, &[]).await;
    database.enqueue_many("snooze_now", 5, "").await;
    database.enqueue_many("retry_now", 5, "").await;
    let rows = "SELECT count(*) FROM pgqueuer_log";
    eventually("they have started", async || database.count(rows).await > 30).await;
    let before = database.count(rows).await;
    // The rate is what is tested.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let came = database.count(rows).await - before;
    // Ten jobs, ten rounds a second each, two rows per round.
    assert!(came < 900, "{came} rows in about three seconds");
    // A first retry without delay runs at once, but many jobs that return together take turns.
    let jobs = database.enqueue_many("second_try", 20, "").await;
    for job in jobs {
        database.wait_for(job, "successful").await;
    }
    host.stop().await;
}

#[tokio::test]
async fn an_entrypoint_that_crashes_costs_few_attempts_before_it_is_paused_and_one_per_trial() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["restless"]));
    plugins.write("pgq-host.toml", "[circuit-breaker]\npause = \"3s\"\n");
    let host = Host::start(&database, &plugins, &[]).await;
    database.enqueue_many("crash", 500, "").await;
    host.wait_for_log("run after run crashes").await;
    let counted = "SELECT sum(attempts)::bigint FROM pgqueuer";
    let picked = "SELECT count(*) FROM pgqueuer WHERE status = 'picked'";
    // Neither marked nor locked.
    let free = "SELECT count(*) FROM (SELECT FROM pgqueuer FOR UPDATE SKIP LOCKED) AS free";
    eventually("what did not begin is back, and what crashed is recorded", async || {
        database.count(picked).await == 0 && database.count(free).await == 500 && database.count(counted).await > 0
    })
    .await;
    let first = database.count(counted).await;
    assert!((1..=60).contains(&first), "{first} attempts until it was paused");
    // Three trials.
    eventually("it was tried again and again", async || host.log().matches("run after run crashes").count() >= 4).await;
    let (all, held) =
        (database.count(counted).await, database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await);
    assert!(all <= first + 6, "{first} attempts, and {all} after three trials");
    assert!(held <= 4, "{held} jobs are held");
    host.stop().await;
}

#[tokio::test]
async fn a_canary_that_crashes_costs_no_more_than_it_may() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.write("pgq-host.toml", "[plugins.job]\ncanary = { percent = 90, runs = 500 }\n");
    plugins.put_as("good", "job.wasm");
    let host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    plugins.put_as("bad", "job.wasm");
    host.wait_for_log("canary loaded").await;
    database.enqueue_many("work", 400, "").await;
    database.wait_until_done().await;
    let crashed =
        database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'queued' AND traceback IS NOT NULL").await;
    // A quarter of the twenty that open a breaker, and no more than were in flight at once.
    assert!((1..=10).contains(&crashed), "{crashed} runs crashed");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'").await, 401);
    host.stop().await;
}

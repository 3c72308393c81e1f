//! Very many jobs, a tenth of them hostile: the host neither ends nor grows, and nothing is lost.
//! `PGQ_SOAK_JOBS` sets the number (`make soak`).

use pgq_host_tests::{Database, Host, Plugins};

/// How many of a thousand hostile jobs are of which kind: mostly quick ones, or most of the time
/// would be spent waiting for deadlines.
const MIX: &[(&str, usize)] = &[
    ("panics", 300),
    ("exits", 250),
    ("nul", 150),
    ("recurse", 100),
    ("handle_leak", 90),
    ("hog", 60),
    ("enqueue_flood", 20),
    ("output_flood", 15),
    ("sleep_for_ever", 6),
    ("spin", 4),
    ("spin_in_calls", 3),
    ("log_flood", 2),
];

#[tokio::test]
async fn hostile_jobs_affect_only_themselves() {
    let jobs: usize = std::env::var("PGQ_SOAK_JOBS").map_or(10_000, |text| text.parse().expect("a number of jobs"));
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // The hostile jobs must run rather than be paused.
    plugins.write("pgq-host.toml", "[circuit-breaker]\ncrashes = 0\n[plugins.hostile]\nenqueue = [\"*\"]\n");
    let host = Host::start(&database, &plugins, &[]).await;
    let rounds = jobs.div_ceil(10_000);
    let mut memory = Vec::new();
    for _ in 0..rounds {
        for (entrypoint, count) in MIX {
            database.enqueue_many("echo", 9 * count, "good").await;
            database.enqueue_many(entrypoint, *count, "").await;
        }
        database.wait_until_done().await;
        memory.push(host.resident_bytes() >> 20);
    }
    let (good, hostile) = (9_000 * rounds as i64, 1_000 * rounds as i64);
    let log = host.stop().await;
    let count = async |what: &str| database.count(&format!("SELECT count(*) FROM pgqueuer_log WHERE {what}")).await;
    assert_eq!(count("entrypoint = 'echo' AND status = 'picked'").await, good, "each good job was claimed once");
    assert_eq!(count("entrypoint = 'echo' AND status = 'successful'").await, good, "and did its work");
    assert_eq!(count("entrypoint <> 'echo' AND status = 'picked'").await, hostile, "each hostile job was run once");
    assert_eq!(
        count("entrypoint <> 'echo' AND status IN ('failed', 'successful', 'canceled')").await,
        hostile,
        "and has its fate"
    );
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE status <> 'failed'").await,
        0,
        "nothing is left over"
    );
    // The instance pool reports at the end that nothing is in use.
    assert!(log.contains("stopped instances=0"), "{}", log.lines().last().unwrap_or_default());
    eprintln!("{} jobs, {hostile} of them hostile; resident MB after each 10,000: {memory:?}", good + hostile);
    let half = memory.len() / 2;
    if half > 1 {
        let most = |part: &[u64]| part.iter().max().copied().unwrap_or_default();
        let (early, late) = (most(&memory[..half]), most(&memory[half..]));
        assert!(late < early + 100, "memory grows: {memory:?}");
    }
}

//! The plugins folder changes constantly under full load: it gets good versions, and everything
//! that can go wrong in a deployment. `PGQ_CHAOS_SECONDS` sets the duration, and
//! `PGQ_CHAOS_GUEST=small` uses a plugin of typical size (`make chaos`).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Plugins, eventually, guest};

use crate::reload::{sha256, version};

const FILE: &str = "turmoil.wasm";
const OTHER: &str = "renamed.wasm";
/// A guest of 100 KB, typical for Rust, with its entrypoint, and one of 400 KB.
const SMALL: (&str, &str) = ("good", "work");
const LARGE: (&str, &str) = ("hostile", "echo");
/// How many jobs wait at any time.
const BACKLOG: usize = 2_000;

/// What can happen to the file.
enum Turn {
    /// A good version, either renamed into place or written over the old one.
    Good { in_place: bool },
    /// Something that is not a plugin.
    Bad(Vec<u8>),
    /// The file is removed.
    Delete,
    /// The file is renamed.
    Rename,
}

fn turn(dice: usize, good: &str, bomb: &[u8]) -> Turn {
    let read = |name: &str| std::fs::read(guest(name)).unwrap();
    let good = read(good);
    match dice % 14 {
        0..=4 => Turn::Good { in_place: false },
        5..=6 => Turn::Good { in_place: true },
        7 => Turn::Bad(good[..fastrand::usize(1..good.len())].to_vec()),
        8 => Turn::Bad((0..100_000).map(|_| fastrand::u8(..)).collect()),
        9 => Turn::Bad(b"\0asm\x01\0\0\0".to_vec()),
        10 => Turn::Bad(read(["describe-loops", "describe-panics", "describe-lies"][fastrand::usize(..3)])),
        11 => Turn::Bad(bomb.to_vec()),
        12 => Turn::Delete,
        _ => Turn::Rename,
    }
}

/// A component that takes seconds to compile.
pub(crate) fn slow_to_compile() -> Vec<u8> {
    let lines: String = (0..40_000)
        .map(|i| {
            format!(
                "(local.set {} (i32.add (local.get {}) (i32.load (local.get {}))))\n",
                i % 500,
                (i * 7) % 500,
                (i * 13) % 500
            )
        })
        .collect();
    let function =
        format!("(func (export \"f\") (local {}) (loop $l {lines} (br_if $l (local.get 0))))", "i32 ".repeat(500));
    wat::parse_str(format!("(component (core module (memory 1) {function}))")).expect("valid")
}

#[tokio::test]
async fn no_job_is_lost_or_repeated_and_none_runs_on_a_file_that_was_never_a_plugin() {
    let seconds = std::env::var("PGQ_CHAOS_SECONDS").map_or(20, |text| text.parse().expect("a number of seconds"));
    let (good, entrypoint) =
        if std::env::var("PGQ_CHAOS_GUEST").is_ok_and(|size| size == "small") { SMALL } else { LARGE };
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let first = version(good, 0);
    plugins.replace(FILE, &first);
    // A version that an earlier run compiled would be available at once.
    let cache = tempfile::tempdir().unwrap();
    let host = Host::start(&database, &plugins, &["--cache-dir", cache.path().to_str().unwrap()]).await;
    let (mut valid, mut landed) = (HashSet::from([sha256(&first)]), Vec::new());
    let bomb = slow_to_compile();
    let (mut enqueued, mut number, mut bad) = (0, 0, 0);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut next = Instant::now();
    while Instant::now() < end {
        let waiting = database
            .count(&format!("SELECT count(*) FROM pgqueuer WHERE status = 'queued' AND entrypoint = '{entrypoint}'"))
            .await;
        if waiting < BACKLOG as i64 {
            database.enqueue_many(entrypoint, BACKLOG, "x").await;
            database.enqueue_many("hello", 20, r#"{"name":"you"}"#).await;
            enqueued += BACKLOG as i64 + 20;
        }
        if Instant::now() < next {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        next = Instant::now() + Duration::from_secs(1);
        let path = plugins.path();
        match turn(fastrand::usize(..14), good, &bomb) {
            Turn::Good { in_place } => {
                number += 1;
                let bytes = version(good, number);
                valid.insert(sha256(&bytes));
                let _ = std::fs::remove_file(path.join(OTHER));
                if in_place {
                    plugins.write(FILE, &bytes);
                } else {
                    plugins.replace(FILE, &bytes);
                }
                landed.push((sha256(&bytes), chrono::Utc::now()));
            }
            Turn::Bad(bytes) => {
                bad += 1;
                plugins.write(FILE, bytes);
            }
            Turn::Delete => {
                let _ = std::fs::remove_file(path.join(FILE));
            }
            Turn::Rename => {
                let _ = std::fs::rename(path.join(FILE), path.join(OTHER));
            }
        }
    }
    let last = version(good, number + 1);
    valid.insert(sha256(&last));
    let _ = std::fs::remove_file(plugins.path().join(OTHER));
    plugins.replace(FILE, &last);
    landed.push((sha256(&last), chrono::Utc::now()));
    // However busy the machine is, the last version is eventually served, since no other follows
    // it.
    let runs = "SELECT count(*) FROM pgqueuer_attempt a JOIN pgqueuer_plugin p ON p.key = a.plugin WHERE p.sha256";
    eventually("jobs run on the last version", async || {
        database.enqueue(entrypoint, "x").await;
        enqueued += 1;
        database.wait_until_done().await;
        database.count(&format!("{runs} = '{}'", sha256(&last))).await > 0
    })
    .await;
    let took = begun.elapsed();
    let log = host.stop().await;

    // Each job ran once: it was claimed once, and it ended once.
    for status in ["picked", "successful"] {
        let rows = format!("SELECT count(*) FROM pgqueuer_log WHERE status = '{status}'");
        let jobs = format!("SELECT count(DISTINCT job_id) FROM pgqueuer_log WHERE status = '{status}'");
        assert_eq!((database.count(&rows).await, database.count(&jobs).await), (enqueued, enqueued), "{status}\n{log}");
    }
    assert_eq!(
        database
            .count("SELECT count(*) FROM pgqueuer_log WHERE status NOT IN ('queued', 'picked', 'successful')")
            .await,
        0
    );
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_attempt").await, enqueued);
    let ran: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT coalesce(p.sha256, 'unknown') FROM pgqueuer_attempt a LEFT JOIN pgqueuer_plugin p ON p.key = a.plugin
         WHERE p.name IS DISTINCT FROM 'hello'",
    )
    .fetch_all(database.pool())
    .await
    .unwrap();
    assert!(ran.iter().all(|digest| valid.contains(digest)), "a version ran that was never valid: {ran:?}");

    // The time from a file's arrival to the start of the first run on it, for files that were not
    // replaced before.
    let mut latencies = Vec::new();
    for (digest, at) in &landed {
        let first: Option<f64> = sqlx::query_scalar(
            "SELECT (extract(epoch FROM min(a.created - a.elapsed_us * interval '1 microsecond') - $2) * 1000)::float8
             FROM pgqueuer_attempt a JOIN pgqueuer_plugin p ON p.key = a.plugin WHERE p.sha256 = $1",
        )
        .bind(digest)
        .bind(at)
        .fetch_one(database.pool())
        .await
        .unwrap();
        latencies.extend(first);
    }
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    eprintln!(
        "{seconds} s, {:.0} jobs/s: {enqueued} jobs, {} good versions landed ({} ran jobs), {bad} bad ones; landing to first run p50 {:.0} ms, p99 {:.0} ms",
        enqueued as f64 / took.as_secs_f64(),
        landed.len(),
        latencies.len(),
        at(0.5),
        at(0.99),
    );
}
